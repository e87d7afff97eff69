package apikey

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// A Definition describes the API of a provider that has no code here: which
// calls make, list, try out and delete a key.
//
// The texts of a call may have placeholders: {name} is the name of the key that
// is made, {expires} the date on which it runs out, {id} the id of the key that
// the call is about, or that it is made with. {secret} is the key that the call
// is made with; it may stand in headers and in Basic only, so that no address
// and no body ever has it.
type Definition struct {
	Create CreateCall `json:"create"`
	List   ListCall   `json:"list"`
	Delete Call       `json:"delete"`
	// Verify is made with the key that is tried out. An answer 401 says that the
	// key is refused.
	Verify Call `json:"verify"`
	// Headers and Basic ("user:password") are how a call is made with a key.
	Headers map[string]string `json:"headers,omitempty"`
	Basic   string            `json:"basic,omitempty"`
	// Limit is how many keys there may be. If zero, the provider has no limit
	// that matters.
	Limit int `json:"limit,omitempty"`
	// Lifetime is how long a key lives, as a duration such as "2160h", where
	// {expires} is used.
	Lifetime string `json:"lifetime,omitempty"`

	lifetime time.Duration
}

// A Call is a request. Form or JSON is its body, if it has one.
type Call struct {
	// Method is GET if empty.
	Method string            `json:"method,omitempty"`
	URL    string            `json:"url"`
	Form   map[string]string `json:"form,omitempty"`
	JSON   json.RawMessage   `json:"json,omitempty"`
}

// A CreateCall makes a key. ID and Secret are JSON pointers (RFC 6901) to where
// the answer has them.
type CreateCall struct {
	Call

	ID     string `json:"id"`
	Secret string `json:"secret"`
}

// A ListCall lists keys. Items is a JSON pointer to the list in the answer, ID
// and Name are pointers in each of its elements, and Next is one to the address
// of the next page, if there are pages.
type ListCall struct {
	Call

	Items string `json:"items"`
	ID    string `json:"id"`
	Name  string `json:"name"`
	Next  string `json:"next,omitempty"`
}

// ParseDefinitions reads definitions by the providers' names. The error names
// what is wrong with which of them.
func ParseDefinitions(text string) (map[string]Definition, error) {
	all := make(map[string]Definition)
	if strings.TrimSpace(text) == "" {
		return all, nil
	}
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&all); err != nil {
		return nil, configurationf("the definitions of providers: %v", err) // they hold no key
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, configurationf("the definitions of providers: something comes after their end")
	}
	for name, d := range all {
		if err := d.check(); err != nil {
			return nil, fmt.Errorf("the provider %q: %w", name, err)
		}
		all[name] = d
	}
	return all, nil
}

// check refuses a definition that could not work, or that could send a key to
// where it does not belong.
func (d *Definition) check() (err error) {
	if d.Lifetime != "" {
		if d.lifetime, err = time.ParseDuration(d.Lifetime); err != nil || d.lifetime <= 0 {
			return configurationf("lifetime: %q is not a duration such as 2160h", d.Lifetime)
		}
	}
	if len(d.Headers) == 0 && d.Basic == "" || !strings.Contains(d.Basic+strings.Join(slices.Collect(maps.Values(d.Headers)), ""), "{secret}") {
		return configurationf("neither headers nor basic has {secret}, so no call would be made with a key")
	}
	calls := []struct {
		name string
		call Call
		may  string // the placeholders
		must string
	}{
		{"create", d.Create.Call, "{name} {expires}", "{name}"},
		{"list", d.List.Call, "", ""},
		{"delete", d.Delete, "{id}", "{id}"},
		{"verify", d.Verify, "{id}", ""},
	}
	first := ""
	for _, c := range calls {
		u, err := c.call.check(c.may, c.must)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		if origin := u.Scheme + "://" + u.Host; first == "" {
			first = origin
		} else if origin != first {
			return configurationf("%s: %s is another host than %s; a key is sent to one only", c.name, origin, first)
		}
	}
	if strings.Contains(d.Create.text(), "{expires}") && d.lifetime == 0 {
		return configurationf("create: {expires} needs a lifetime")
	}
	return d.checkPointers()
}

func (d *Definition) checkPointers() error {
	for name, p := range map[string]string{
		"create.id": d.Create.ID, "create.secret": d.Create.Secret, "list.id": d.List.ID, "list.name": d.List.Name,
	} {
		if !strings.HasPrefix(p, "/") {
			return configurationf("%s: %q is not a JSON pointer such as /data/id", name, p)
		}
	}
	for name, p := range map[string]string{"list.items": d.List.Items, "list.next": d.List.Next} {
		if p != "" && !strings.HasPrefix(p, "/") { // empty is the answer itself
			return configurationf("%s: %q is not a JSON pointer such as /data", name, p)
		}
	}
	return nil
}

// placeholders are all that there are.
func placeholders() []string { return []string{"{name}", "{expires}", "{id}", "{secret}"} }

func (c Call) check(may, must string) (*url.URL, error) {
	switch c.Method {
	case "", http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
	default:
		return nil, configurationf("the method %q is none of GET, POST, PUT, PATCH and DELETE", c.Method)
	}
	u, err := checkURL(c.URL)
	if err != nil {
		return nil, err
	}
	if len(c.Form) > 0 && len(c.JSON) > 0 {
		return nil, configurationf("it has two bodies, form and json")
	}
	for _, p := range placeholders() {
		switch has := strings.Contains(c.text(), p); {
		case has && !strings.Contains(may, p):
			return nil, configurationf("%s has no place there", p)
		case !has && p == must:
			return nil, configurationf("%s is missing", p)
		}
	}
	return u, nil
}

// text is everything that may have placeholders.
func (c Call) text() string {
	values := slices.Collect(maps.Values(c.Form))
	return strings.Join(append(values, c.URL, string(c.JSON)), " ")
}

// filled returns the request for a call with a key.
func (d *Definition) filled(c Call, with Key, fill map[string]string) (call, error) {
	out := call{method: c.Method, header: make(http.Header)}
	if out.method == "" {
		out.method = http.MethodGet
	}
	out.url = replace(c.URL, fill, url.PathEscape)
	secrets := map[string]string{"{secret}": with.Secret.Reveal(), "{id}": with.ID}
	for name, text := range d.Headers {
		value := replace(text, secrets, plain)
		if strings.ContainsAny(value, "\r\n") {
			return call{}, configurationf("the key has a line break in it, and cannot be sent in the header %s", name)
		}
		out.header.Set(name, value)
	}
	if d.Basic != "" {
		out.header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(replace(d.Basic, secrets, plain))))
	}
	switch {
	case len(c.Form) > 0:
		form := make(url.Values)
		for k, v := range c.Form {
			form.Set(k, replace(v, fill, plain))
		}
		out.body, out.kind = []byte(form.Encode()), "application/x-www-form-urlencoded"
	case len(c.JSON) > 0:
		out.body, out.kind = []byte(replace(string(c.JSON), fill, inJSON)), "application/json"
	}
	return out, nil
}

func plain(s string) string { return s }

// inJSON is what a text is inside a JSON string.
func inJSON(s string) string { return strings.Trim(quote(s), `"`) }

// replace fills placeholders in, each once: what is filled in is not looked at
// again.
func replace(text string, fill map[string]string, as func(string) string) string {
	pairs := make([]string, 0, 2*len(fill))
	for from, to := range fill {
		pairs = append(pairs, from, as(to))
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// at follows a JSON pointer. The empty pointer is the value itself.
func at(v any, pointer string) any {
	if pointer == "" {
		return v
	}
	for part := range strings.SplitSeq(pointer[1:], "/") {
		part = strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
		switch in := v.(type) {
		case map[string]any:
			v = in[part]
		case []any:
			i, ok := index(part)
			if !ok || i >= len(in) {
				return nil
			}
			v = in[i]
		default:
			return nil
		}
	}
	return v
}

func index(s string) (int, bool) {
	var i int
	err := json.Unmarshal([]byte(s), &i)
	return i, err == nil && i >= 0
}

// textAt is the string or number that a pointer leads to.
func textAt(v any, pointer string) string {
	switch found := at(v, pointer).(type) {
	case string:
		return found
	case json.Number:
		return found.String()
	}
	return ""
}
