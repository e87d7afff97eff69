package lambda

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rekey-go/rekey/internal/local/wire"
)

// Wire is the service as the front door takes it.
func (s *Service) Wire() wire.Service {
	const base = "/2015-03-31/functions"
	return wire.Service{
		Name: "lambda", EventSource: "lambda.amazonaws.com", Protocol: wire.REST,
		Routes: slices.Concat(s.routesOfManagement(), s.routesOfEventInvoke(), s.routesOfTags(), s.routesOfMappings(), []wire.Route{
			{Pattern: "POST " + base + "/{name}/invocations", Operation: "Invoke", Access: wire.Data, Serve: s.serveInvoke},
			{Pattern: "GET " + base + "/{$}", Operation: "ListFunctions20150331", Access: wire.Read, Serve: s.serveList},
			{Pattern: "GET " + base, Operation: "ListFunctions20150331", Access: wire.Read, Serve: s.serveList},
			{Pattern: "GET " + base + "/{name}", Operation: "GetFunction20150331v2", Access: wire.Read, Serve: s.serveGet},
			{Pattern: "GET " + base + "/{name}/configuration", Operation: "GetFunctionConfiguration20150331v2", Access: wire.Read, Serve: s.serveConfiguration},
			{Pattern: "GET " + base + "/{name}/versions", Operation: "ListVersionsByFunction20150331", Access: wire.Read, Serve: s.serveVersions},
			{Pattern: "GET /2020-06-30/functions/{name}/code-signing-config", Operation: "GetFunctionCodeSigningConfig", Access: wire.Read, Serve: s.serveCodeSigning},
			{Pattern: "GET " + base + "/{name}/policy", Operation: "GetPolicy20150331v2", Access: wire.Read, Serve: s.servePolicy},
			{Pattern: "POST " + base + "/{name}/policy", Operation: "AddPermission20150331v2", Access: wire.Write, Serve: s.servePermission},
		}),
	}
}

func (s *Service) serveInvoke(w http.ResponseWriter, r *http.Request, c *wire.Call) error {
	f, err := s.called(r)
	if err != nil {
		return err
	}
	payload, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPayload+1))
	if err != nil {
		payload = make([]byte, maxPayload+1) // refused below, in AWS's words
	}
	if len(payload) == 0 {
		payload = []byte("{}")
	}
	if len(payload) <= maxPayload && !json.Valid(payload) {
		return invalidContent("the payload is not valid JSON")
	}
	// The request id is the invocation's too, as on AWS.
	w.Header().Set("X-Amzn-Requestid", c.RequestID)
	switch kind := r.Header.Get("X-Amz-Invocation-Type"); kind {
	case "DryRun":
		w.WriteHeader(http.StatusNoContent)
		return nil
	case "Event":
		if err := s.accept(f, c.RequestID, payload); err != nil {
			return err
		}
		w.WriteHeader(http.StatusAccepted)
		return nil
	case "", "RequestResponse":
		out, err := s.invoke(r.Context(), f, newInvocation(c.RequestID, payload))
		if err != nil {
			return err
		}
		writeOutcome(w, out)
		return nil
	default:
		return invalidParameter("Value '%s' at 'invocationType' failed to satisfy constraint: Member must satisfy enum value set: [Event, RequestResponse, DryRun]", kind)
	}
}

func writeOutcome(w http.ResponseWriter, out outcome) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(out.payload)))
	h.Set("X-Amz-Executed-Version", "$LATEST")
	if out.functionError != "" {
		h.Set("X-Amz-Function-Error", out.functionError)
	}
	_, _ = w.Write(out.payload) // a client that went away cannot be told
}

// called finds the function that a request is about.
func (s *Service) called(r *http.Request) (*function, error) {
	name := r.PathValue("name")
	if q := r.URL.Query().Get("Qualifier"); q != "" && q != "$LATEST" {
		name += ":" + q
	}
	return s.find(name)
}

// configuration is a function as AWS describes it.
type configuration struct {
	FunctionName string
	FunctionArn  string
	Role         string
	Runtime      string
	Handler      string
	Timeout      int
	MemorySize   int
	LastModified string
	Version      string
	PackageType  string
	// State is Active and LastUpdateStatus Successful, but in the answers to
	// the changes themselves; see progress.
	State                      string
	StateReason                string `json:",omitempty"`
	StateReasonCode            string `json:",omitempty"`
	LastUpdateStatus           string `json:",omitempty"`
	LastUpdateStatusReason     string `json:",omitempty"`
	LastUpdateStatusReasonCode string `json:",omitempty"`
	RevisionID                 string `json:"RevisionId"`
	Description                string
	CodeSha256                 string `json:",omitempty"`
	CodeSize                   int64
	// Environment and DeadLetterConfig are left out where there is none.
	Environment      *environmentVariables `json:",omitempty"`
	DeadLetterConfig *deadLetterConfig     `json:",omitempty"`
	// The rest has no effect here, and is as AWS has it by default.
	Architectures        []string
	RuntimeVersionConfig struct{ RuntimeVersionArn string }
	EphemeralStorage     struct{ Size int }
	TracingConfig        struct{ Mode string }
	SnapStart            struct{ ApplyOn, OptimizationStatus string }
	LoggingConfig        struct{ LogFormat, LogGroup string }
}

type environmentVariables struct{ Variables map[string]string }

type deadLetterConfig struct {
	TargetArn string
}

func (f *function) configuration() configuration {
	c := configuration{
		FunctionName: f.Name, FunctionArn: f.arn, Role: f.RoleARN, Runtime: f.Runtime, Handler: f.Handler,
		Timeout: int(f.Timeout / time.Second), MemorySize: f.MemoryMB, Version: "$LATEST", State: "Active", PackageType: "Zip",
		LastUpdateStatus: "Successful", Description: f.Description, CodeSha256: f.Code.SHA256, CodeSize: f.Code.Size,
		LastModified: f.modified.UTC().Format("2006-01-02T15:04:05.000+0000"),
	}
	c.RevisionID = f.revision
	c.Architectures = []string{cmp.Or(f.Architecture, architecture())}
	region, version := strings.Split(f.arn, ":")[3], sha256.Sum256([]byte(f.Runtime))
	c.RuntimeVersionConfig.RuntimeVersionArn = "arn:aws:lambda:" + region + "::runtime:" + hex.EncodeToString(version[:])
	c.EphemeralStorage.Size = 512 // MB
	c.TracingConfig.Mode = "PassThrough"
	c.SnapStart.ApplyOn, c.SnapStart.OptimizationStatus = "None", "Off"
	c.LoggingConfig.LogFormat, c.LoggingConfig.LogGroup = "Text", "/aws/lambda/"+f.Name
	if f.Environment != nil {
		c.Environment = &environmentVariables{f.Environment}
	}
	if f.DeadLetterARN != "" {
		c.DeadLetterConfig = &deadLetterConfig{TargetArn: f.DeadLetterARN}
	}
	return c
}

// architecture is that of this machine, in AWS's words.
func architecture() string {
	if runtime.GOARCH == "amd64" {
		return "x86_64"
	}
	return runtime.GOARCH
}

func writeJSON(w http.ResponseWriter, status int, body any) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // as in serveInvoke
	return nil
}

func (s *Service) serveList(w http.ResponseWriter, _ *http.Request, _ *wire.Call) error {
	s.mu.Lock()
	all := make([]configuration, 0, len(s.functions))
	for _, f := range s.functions {
		all = append(all, f.configuration())
	}
	s.mu.Unlock()
	slices.SortFunc(all, func(a, b configuration) int { return strings.Compare(a.FunctionName, b.FunctionName) })
	return writeJSON(w, http.StatusOK, map[string]any{"Functions": all})
}

func (s *Service) serveGet(w http.ResponseWriter, r *http.Request, _ *wire.Call) error {
	f, err := s.called(r)
	if err != nil {
		return err
	}
	// Where the code can be had from, which AWS also says, is left out.
	out := map[string]any{"Configuration": f.configuration(), "Code": map[string]string{"RepositoryType": "S3"}}
	if tags := s.definition(f).Tags; len(tags) > 0 {
		out["Tags"] = tags
	}
	if reserved := f.reservation(); reserved.ReservedConcurrentExecutions != nil {
		out["Concurrency"] = reserved
	}
	return writeJSON(w, http.StatusOK, out)
}

func (s *Service) serveConfiguration(w http.ResponseWriter, r *http.Request, _ *wire.Call) error {
	f, err := s.called(r)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, f.configuration())
}

// serveVersions lists the versions of a function: the one there is.
func (s *Service) serveVersions(w http.ResponseWriter, r *http.Request, _ *wire.Call) error {
	f, err := s.called(r)
	if err != nil {
		return err
	}
	latest := f.configuration()
	latest.FunctionArn += ":" + latest.Version
	return writeJSON(w, http.StatusOK, map[string]any{"Versions": []configuration{latest}})
}

// serveCodeSigning says that nothing checks the code's signature.
func (s *Service) serveCodeSigning(w http.ResponseWriter, r *http.Request, _ *wire.Call) error {
	f, err := s.called(r)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, map[string]string{"FunctionName": f.Name})
}

// A policy is a function's resource policy, and a statement one permission of
// it, with their members in AWS's order.
type (
	policy struct {
		Version   string
		ID        string `json:"Id"`
		Statement []statement
	}
	statement struct {
		Sid       string
		Effect    string
		Principal any // a text or an object
		Action    string
		Resource  string
		Condition map[string]map[string]string `json:",omitempty"`
	}
)

// statement is a permission as a policy has it.
func (p permission) statement(functionARN string) statement {
	st := statement{
		Sid: p.sid, Effect: "Allow", Principal: map[string]string{"AWS": p.principal},
		Action: "lambda:InvokeFunction", Resource: functionARN, Condition: make(map[string]map[string]string),
	}
	switch {
	case p.principal == "*":
		st.Principal = p.principal
	case strings.HasSuffix(p.principal, ".amazonaws.com"):
		st.Principal = map[string]string{"Service": p.principal}
	}
	if p.sourceAccount != "" {
		st.Condition["StringEquals"] = map[string]string{"AWS:SourceAccount": p.sourceAccount}
	}
	if p.sourceARN != "" {
		st.Condition["ArnLike"] = map[string]string{"AWS:SourceArn": p.sourceARN}
	}
	return st
}

func (s *Service) servePolicy(w http.ResponseWriter, r *http.Request, _ *wire.Call) error {
	f, err := s.called(r)
	if err != nil {
		return err
	}
	s.mu.Lock()
	all, revision := policy{Version: "2012-10-17", ID: "default"}, f.policyRevision
	for _, p := range f.permissions {
		all.Statement = append(all.Statement, p.statement(f.arn))
	}
	s.mu.Unlock()
	if len(all.Statement) == 0 {
		return notFound("The resource you requested does not exist.")
	}
	text, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, map[string]string{"Policy": string(text), "RevisionId": revision})
}

func (s *Service) servePermission(w http.ResponseWriter, r *http.Request, _ *wire.Call) error {
	var in struct {
		StatementID   string `json:"StatementId"`
		Action        string
		Principal     string
		SourceARN     string `json:"SourceArn"`
		SourceAccount string
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.StatementID == "" || in.Principal == "" {
		return invalidParameter("StatementId, Action and Principal are required")
	}
	if in.Action != "lambda:InvokeFunction" && in.Action != "lambda:*" {
		return invalidParameter("the engine has permissions for lambda:InvokeFunction only, not for %q", in.Action)
	}
	f, err := s.called(r)
	if err != nil {
		return err
	}
	p := permission{sid: in.StatementID, principal: in.Principal, sourceARN: in.SourceARN, sourceAccount: in.SourceAccount}
	if err := s.permit(f.arn, p); err != nil {
		return err
	}
	text, err := json.Marshal(p.statement(f.arn))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusCreated, map[string]string{"Statement": string(text)})
}
