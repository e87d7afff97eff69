package lambda

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/rekey-go/rekey/internal/local/wire"
)

// extensionsAPI adds the environment's Lambda Extensions API, which has the
// Runtime API's address.
func (env *environment) extensionsAPI(mux *http.ServeMux) {
	const base = "/2020-01-01/extension/"
	mux.HandleFunc("POST "+base+"register", env.registerExtension)
	mux.HandleFunc("GET "+base+"event/next", env.nextEvent)
	mux.HandleFunc("POST "+base+"init/error", env.failExtension)
	mux.HandleFunc("POST "+base+"exit/error", env.failExtension)
}

// registerExtension takes the registration of an extension, under the name of
// its file.
func (env *environment) registerExtension(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Events []string `json:"events"`
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPayload))
	if err != nil || json.Unmarshal(body, &in) != nil {
		refuse(w, http.StatusBadRequest, "InvalidRequestFormat", "the body is not {\"events\":[...]}")
		return
	}
	for _, event := range in.Events {
		if event != "INVOKE" && event != "SHUTDOWN" {
			refuse(w, http.StatusBadRequest, "InvalidEventType", "Invalid event type: "+event)
			return
		}
	}
	name := r.Header.Get("Lambda-Extension-Name")
	env.mu.Lock()
	defer env.mu.Unlock()
	i := slices.IndexFunc(env.extensions, func(x *extension) bool { return x.Name == name && x.id == "" })
	if i < 0 {
		refuse(w, http.StatusForbidden, "Extension.NotRegistered", "no extension "+name+" is there to be registered")
		return
	}
	x := env.extensions[i]
	x.id, x.invokes, x.shutdown = wire.NewID(), slices.Contains(in.Events, "INVOKE"), slices.Contains(in.Events, "SHUTDOWN")
	close(x.registered)
	w.Header().Set("Lambda-Extension-Identifier", x.id)
	_ = writeJSON(w, http.StatusOK, map[string]string{ // as in nextEvent
		"functionName": env.function.Name, "functionVersion": "$LATEST", "handler": env.function.Handler,
	})
}

// caller is the extension that a request comes from, or nil after refusing.
func (env *environment) caller(w http.ResponseWriter, r *http.Request) *extension {
	id := r.Header.Get("Lambda-Extension-Identifier")
	env.mu.Lock()
	defer env.mu.Unlock()
	i := slices.IndexFunc(env.extensions, func(x *extension) bool { return id != "" && x.id == id })
	if i < 0 {
		refuse(w, http.StatusForbidden, "Extension.UnknownExtensionIdentifier", "Unknown extension "+id)
		return nil
	}
	return env.extensions[i]
}

// nextEvent hands an extension its next event, and waits for one.
func (env *environment) nextEvent(w http.ResponseWriter, r *http.Request) {
	x := env.caller(w, r)
	if x == nil {
		return
	}
	select {
	case x.asked <- struct{}{}:
	default:
	}
	select {
	case event := <-x.events:
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(event) // an extension that is gone is seen by its process's end
	case <-r.Context().Done():
	}
}

// failExtension takes the error of an extension that cannot go on: it ends, and
// with it the environment.
func (env *environment) failExtension(w http.ResponseWriter, r *http.Request) {
	if x := env.caller(w, r); x != nil {
		kill(x.process)
		accept(w)
	}
}

// invokeEvent tells of an invocation.
func (env *environment) invokeEvent(inv *invocation, deadline time.Time) []byte {
	return event(map[string]any{
		"eventType": "INVOKE", "deadlineMs": deadline.UnixMilli(), "requestId": inv.id, "invokedFunctionArn": env.function.arn,
		"tracing": map[string]string{"type": "X-Amzn-Trace-Id", "value": traceID(inv)},
	})
}

// shutdownEvent tells of the environment's end, and why it comes.
func shutdownEvent(reason string, deadline time.Time) []byte {
	return event(map[string]any{"eventType": "SHUTDOWN", "shutdownReason": reason, "deadlineMs": deadline.UnixMilli()})
}

func event(members map[string]any) []byte {
	data, err := json.Marshal(members)
	if err != nil {
		panic(err) // of texts and numbers: never
	}
	return data
}
