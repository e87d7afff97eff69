package lambda

import (
	"cmp"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/rekey-go/rekey/internal/local/wire"
)

// maxManagement bounds the body of a management call: a zip file of the
// largest size, in base 64, and what else is said.
const maxManagement = maxZip/3*4 + 1<<20

// runtimes are those whose program is the function's own bootstrap.
//
//nolint:gochecknoglobals // a constant table.
var runtimes = []string{"provided.al2023", "provided.al2"}

//nolint:gochecknoglobals // compiled once.
var functionName = regexp.MustCompile(`^[a-zA-Z0-9-_]{1,64}$`)

// settings are the members that CreateFunction and
// UpdateFunctionConfiguration have in common; what is nil stays as it is.
type settings struct {
	Role        *string
	Runtime     *string
	Handler     *string
	Description *string
	Timeout     *int
	MemorySize  *int
	Environment *struct{ Variables map[string]string }
	// DeadLetterConfig without a target takes the queue away.
	DeadLetterConfig *deadLetterConfig
}

// A deployment is the code in a request, as the engine takes it.
type deployment struct {
	ZipFile  []byte
	S3Bucket string
	ImageURI string `json:"ImageUri"`
}

// architectures are those that the code in a request is for.
type architectures struct{ Architectures []string }

// one is the architecture, or empty where none is given.
func (a architectures) one() string {
	if len(a.Architectures) == 0 {
		return ""
	}
	return a.Architectures[0]
}

// routesOfManagement are the operations that change functions.
func (s *Service) routesOfManagement() []wire.Route {
	const base = "/2015-03-31/functions"
	write := func(pattern, operation string, serve func(http.ResponseWriter, *http.Request, *wire.Call) error) wire.Route {
		return wire.Route{Pattern: pattern, Operation: operation, Access: wire.Write, Serve: serve}
	}
	return []wire.Route{
		write("POST "+base, "CreateFunction20150331", s.serveCreate),
		write("POST "+base+"/{$}", "CreateFunction20150331", s.serveCreate),
		write("PUT "+base+"/{name}/code", "UpdateFunctionCode20150331v2", s.serveUpdateCode),
		write("PUT "+base+"/{name}/configuration", "UpdateFunctionConfiguration20150331v2", s.serveUpdateConfiguration),
		write("DELETE "+base+"/{name}", "DeleteFunction20150331", s.serveDelete),
		write("DELETE "+base+"/{name}/policy/{sid}", "RemovePermission20150331v2", s.serveRemovePermission),
		write("PUT /2017-10-31/functions/{name}/concurrency", "PutFunctionConcurrency20171031", s.servePutConcurrency),
		write("DELETE /2017-10-31/functions/{name}/concurrency", "DeleteFunctionConcurrency20171031", s.serveDeleteConcurrency),
		{Pattern: "GET /2019-09-30/functions/{name}/concurrency", Operation: "GetFunctionConcurrency20190930", Access: wire.Read, Serve: s.serveGetConcurrency},
	}
}

// decodeInput reads the body of a management call. The trail gets it, and the
// function's name, without the code and the values of the environment.
func decodeInput(r *http.Request, c *wire.Call, in any) error {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxManagement+1))
	if err != nil || len(body) > maxManagement {
		e := wire.Unmodelled("RequestEntityTooLargeException", "Request must be smaller than %d bytes for the %s operation", maxManagement, c.Operation)
		e.Status = http.StatusRequestEntityTooLarge
		return e
	}
	c.Input = recorded(body, r.PathValue("name"))
	if json.Unmarshal(body, in) != nil { // its text quotes the input
		return invalidContent("it does not have the shape of " + c.Operation + "'s input")
	}
	return nil
}

// recorded is what the trail has of a request.
func recorded(body []byte, name string) json.RawMessage {
	var members map[string]json.RawMessage
	if json.Unmarshal(body, &members) != nil || members == nil { // refused elsewhere
		members = make(map[string]json.RawMessage)
	}
	maps.DeleteFunc(members, func(member string, _ json.RawMessage) bool {
		return slices.ContainsFunc([]string{"ZipFile", "Code", "Environment"}, func(secret string) bool {
			return strings.EqualFold(member, secret) // as the decoder takes it
		})
	})
	if name != "" {
		members["FunctionName"], _ = json.Marshal(name) // a string always encodes
	}
	text, _ := json.Marshal(members) // what was decoded encodes again
	return text
}

func (s *Service) serveCreate(w http.ResponseWriter, r *http.Request, c *wire.Call) error {
	var in struct {
		settings
		FunctionName string
		PackageType  string
		Code         deployment
		architectures
		Tags map[string]string
	}
	if err := decodeInput(r, c, &in); err != nil {
		return err
	}
	switch {
	case !functionName.MatchString(in.FunctionName):
		return invalidParameter("the engine has functions by name, of 1 to 64 letters, digits, hyphens and underscores; %q is no such name", in.FunctionName)
	case in.PackageType != "" && in.PackageType != "Zip":
		return invalidParameter("the engine has functions of package type Zip, not %s", in.PackageType)
	case in.Runtime == nil || in.Role == nil:
		return invalidParameter("Runtime, Handler and Role are mandatory parameters for functions created with deployment packages.")
	}
	if _, err := s.find(in.FunctionName); err == nil {
		return conflict("Function already exist: %s", in.FunctionName)
	}
	f := Function{Name: in.FunctionName, Tags: in.Tags, Architecture: in.one()}
	if err := in.apply(&f); err != nil {
		return err
	}
	if err := s.deploy(&f, in.Code); err != nil {
		return err
	}
	return s.redefine(w, http.StatusCreated, f, creating)
}

// deploy unpacks the code of a request for a function.
func (s *Service) deploy(f *Function, code deployment) (err error) {
	if len(code.ZipFile) == 0 || code.S3Bucket != "" || code.ImageURI != "" {
		return invalidParameter("the engine takes a function's code as ZipFile, in the request itself; it has no S3 and no images")
	}
	if f.Code, err = s.Unpack(code.ZipFile); err != nil {
		return err
	}
	f.Command = []string{f.Code.Dir + "/" + bootstrap}
	return nil
}

// apply changes the configuration of a function.
func (in *settings) apply(f *Function) error {
	if in.Runtime != nil && !slices.Contains(runtimes, *in.Runtime) {
		return invalidParameter("the engine runs functions that bring their own bootstrap: the runtime is one of %v, not %s", runtimes, *in.Runtime)
	}
	if in.Timeout != nil && (*in.Timeout < 1 || *in.Timeout > 900) {
		return invalidParameter("Value '%d' at 'timeout' failed to satisfy constraint: Member must have value between 1 and 900", *in.Timeout)
	}
	if in.MemorySize != nil && (*in.MemorySize < 128 || *in.MemorySize > 10240) {
		return invalidParameter("Value '%d' at 'memorySize' failed to satisfy constraint: Member must have value between 128 and 10240", *in.MemorySize)
	}
	set(&f.RoleARN, in.Role)
	set(&f.Runtime, in.Runtime)
	set(&f.Handler, in.Handler)
	set(&f.Description, in.Description)
	set(&f.MemoryMB, in.MemorySize)
	if in.Timeout != nil {
		f.Timeout = time.Duration(*in.Timeout) * time.Second
	}
	if in.Environment != nil {
		f.Environment = maps.Clone(in.Environment.Variables)
	}
	if in.DeadLetterConfig != nil {
		f.DeadLetterARN = in.DeadLetterConfig.TargetArn
	}
	return nil
}

func set[T any](field, value *T) {
	if value != nil {
		*field = *value
	}
}

// definition is a copy of a function's configuration.
func (s *Service) definition(f *function) Function {
	s.mu.Lock()
	defer s.mu.Unlock()
	return f.Function
}

// A progress is how far a change is when it is answered. Here it is over by
// then; AWS answers at its beginning, and so does the engine: a caller that
// does not wait for what it asked for would not work on AWS.
type progress func(*configuration)

const (
	beingCreated = "The function is being created."
	creatingCode = "Creating"
)

func creating(c *configuration) {
	c.State, c.LastUpdateStatus = "Pending", ""
	c.StateReason, c.StateReasonCode = beingCreated, creatingCode
}

// updating gives the reasons that AWS does, of a function that is created.
func updating(c *configuration) {
	c.LastUpdateStatus = "InProgress"
	c.LastUpdateStatusReason, c.LastUpdateStatusReasonCode = beingCreated, creatingCode
}

// redefine takes a function's new configuration and answers with it.
func (s *Service) redefine(w http.ResponseWriter, status int, f Function, as progress) error {
	arn, err := s.Define(f)
	if err != nil {
		return err
	}
	defined, err := s.find(arn)
	if err != nil {
		return err
	}
	answer := defined.configuration()
	as(&answer)
	return writeJSON(w, status, answer)
}

func (s *Service) serveUpdateCode(w http.ResponseWriter, r *http.Request, c *wire.Call) error {
	var in struct {
		deployment
		architectures
	}
	if err := decodeInput(r, c, &in); err != nil {
		return err
	}
	f, err := s.called(r)
	if err != nil {
		return err
	}
	next := s.definition(f)
	next.Architecture = cmp.Or(in.one(), next.Architecture)
	if err := s.deploy(&next, in.deployment); err != nil {
		return err
	}
	return s.redefine(w, http.StatusOK, next, updating)
}

func (s *Service) serveUpdateConfiguration(w http.ResponseWriter, r *http.Request, c *wire.Call) error {
	var in settings
	if err := decodeInput(r, c, &in); err != nil {
		return err
	}
	f, err := s.called(r)
	if err != nil {
		return err
	}
	next := s.definition(f)
	if err := in.apply(&next); err != nil {
		return err
	}
	return s.redefine(w, http.StatusOK, next, updating)
}

func (s *Service) serveDelete(w http.ResponseWriter, r *http.Request, c *wire.Call) error {
	c.Input = recorded(nil, r.PathValue("name"))
	f, err := s.called(r)
	if err != nil {
		return err
	}
	s.remove(f)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// Remove removes a function; there need not be one. Its environments finish
// what they do.
func (s *Service) Remove(functionARN string) {
	if f, err := s.find(functionARN); err == nil {
		s.remove(f)
	}
}

// remove forgets a function. Its environments finish what they do.
func (s *Service) remove(f *function) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.functions[f.arn] != f {
		return // replaced or removed by another call
	}
	delete(s.functions, f.arn)
	s.wakeLocked()
	for _, env := range slices.Clone(f.idle) {
		s.endLocked(env)
	}
}

func (s *Service) serveRemovePermission(w http.ResponseWriter, r *http.Request, c *wire.Call) error {
	c.Input = recorded(nil, r.PathValue("name"))
	f, err := s.called(r)
	if err != nil {
		return err
	}
	if err := s.revoke(f.arn, r.PathValue("sid")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
