package lambda

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// runtimeAPI is the environment's Lambda Runtime API.
func (env *environment) runtimeAPI() http.Handler {
	mux := http.NewServeMux()
	const base = "/2018-06-01/runtime/"
	mux.HandleFunc("GET "+base+"invocation/next", env.next)
	mux.HandleFunc("POST "+base+"invocation/{id}/response", func(w http.ResponseWriter, r *http.Request) { env.answer(w, r, "") })
	mux.HandleFunc("POST "+base+"invocation/{id}/error", func(w http.ResponseWriter, r *http.Request) { env.answer(w, r, unhandled) })
	mux.HandleFunc("POST "+base+"init/error", env.failInit)
	env.extensionsAPI(mux)
	return mux
}

// next hands the runtime its next invocation, and waits for one.
func (env *environment) next(w http.ResponseWriter, r *http.Request) {
	env.beReady()
	var inv *invocation
	select {
	case inv = <-env.work:
	case <-r.Context().Done():
		return
	}
	env.mu.Lock()
	env.current = inv
	env.mu.Unlock()
	deadline := time.Now().Add(env.function.Timeout)
	if len(env.function.Extensions) > 0 {
		env.tell(env.invokeEvent(inv, deadline), func(x *extension) bool { return x.invokes })
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	// With the length known, a small event leaves in one write.
	h.Set("Content-Length", strconv.Itoa(len(inv.payload)))
	h.Set("Lambda-Runtime-Aws-Request-Id", inv.id)
	h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(deadline.UnixMilli(), 10))
	h.Set("Lambda-Runtime-Invoked-Function-Arn", env.function.arn)
	h.Set("Lambda-Runtime-Trace-Id", traceID(inv))
	_, _ = w.Write(inv.payload) // a runtime that is gone is seen by its process's end
}

// beReady notes that the runtime has come to its first next. The environment
// is ready when its extensions have come to theirs too.
func (env *environment) beReady() {
	env.mu.Lock()
	defer env.mu.Unlock()
	switch {
	case env.isReady:
		return
	case len(env.extensions) == 0:
		close(env.ready)
	default:
		go func() {
			if env.settled(initTimeout, func(*extension) bool { return true }) {
				close(env.ready)
			}
		}()
	}
	env.isReady = true
}

// traceID is the X-Ray header of an invocation, which is not sampled.
func traceID(inv *invocation) string {
	return fmt.Sprintf("Root=1-%08x-%.24s;Sampled=0", time.Now().Unix(), strings.ReplaceAll(inv.id, "-", ""))
}

// answer takes a function's answer, or its error.
func (env *environment) answer(w http.ResponseWriter, r *http.Request, functionError string) {
	payload, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPayload+1))
	env.mu.Lock()
	inv := env.current
	if inv != nil && inv.id == r.PathValue("id") {
		env.current = nil
	} else {
		inv = nil
	}
	env.mu.Unlock()
	switch {
	case inv == nil:
		refuse(w, http.StatusBadRequest, "InvalidRequestID", "Invalid request ID")
	case err != nil || len(payload) > maxPayload:
		inv.done <- failure("Function.ResponseSizeTooLarge", "Response payload size exceeded maximum allowed payload size (%d bytes).", maxPayload)
		refuse(w, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", "Exceeded maximum allowed payload size")
	default:
		inv.done <- withTrailer(r.Trailer, outcome{payload: payload, functionError: functionError})
		accept(w)
	}
}

// withTrailer is the outcome of an answer whose trailer says that the function
// failed while it was writing it.
func withTrailer(trailer http.Header, out outcome) outcome {
	if trailer.Get("Lambda-Runtime-Function-Error-Type") == "" {
		return out
	}
	body, err := base64.StdEncoding.DecodeString(trailer.Get("Lambda-Runtime-Function-Error-Body"))
	if err != nil || len(body) == 0 {
		return failure(trailer.Get("Lambda-Runtime-Function-Error-Type"), "the function failed while it answered")
	}
	return outcome{payload: body, functionError: unhandled}
}

// failInit takes the error of a runtime that cannot start its function.
func (env *environment) failInit(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPayload))
	if err != nil || len(body) == 0 {
		body = failure("Runtime.InitError", "the runtime reported an error without saying which").payload
	}
	env.mu.Lock()
	if env.initError == nil && !env.isReady {
		env.initError = body
		close(env.failed)
	}
	env.mu.Unlock()
	accept(w)
}

func accept(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, `{"status":"OK"}`) // as in next
}

func refuse(w http.ResponseWriter, status int, kind, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"errorType": kind, "errorMessage": message}) // as in next
}
