package apikey_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/rekey-go/rekey/rotation"
	"github.com/rekey-go/rekey/rotation/apikey"
)

const (
	create = `"create":{"method":"POST","url":"https://api.acme.com/keys","json":{"label":"{name}","until":"{expires}"},"id":"/id","secret":"/token"}`
	list   = `"list":{"url":"https://api.acme.com/keys","items":"/data","id":"/id","name":"/label"}`
	del    = `"delete":{"method":"DELETE","url":"https://api.acme.com/keys/{id}"}`
	verify = `"verify":{"url":"https://api.acme.com/me"}`
	auth   = `"headers":{"X-Api-Key":"{secret}"},"lifetime":"2160h"`
)

func TestDefinitionsThatCannotBeAreRefused(t *testing.T) {
	t.Parallel()
	whole := fmt.Sprintf(`{"acme":{%s,%s,%s,%s,%s}}`, create, list, del, verify, auth)
	if _, err := apikey.ParseDefinitions(whole); err != nil {
		t.Fatal(err)
	}
	if all, err := apikey.ParseDefinitions(" "); err != nil || len(all) != 0 {
		t.Errorf("none: %v, %v", all, err)
	}
	for name, tt := range map[string]struct{ from, to, want string }{
		"plain http":                       {"https://api.acme.com/me", "http://api.acme.com/me", "verify: configuration: api.acme.com: keys are sent over https only"},
		"another host":                     {"https://api.acme.com/me", "https://evil.com/me", "another host"},
		"another port":                     {"https://api.acme.com/me", "https://api.acme.com:444/me", "another host"},
		"a login in the address":           {"https://api.acme.com/me", "https://u:p@api.acme.com/me", "not such as https://"},
		"no address":                       {"https://api.acme.com/me", "", "not such as https://"},
		"the key in the address":           {"/me", "/me?key={secret}", "{secret} has no place there"},
		"the key in a body":                {`"{name}"`, `"{name}{secret}"`, "{secret} has no place there"},
		"a placeholder in the host":        {"https://api.acme.com/me", "https://{id}.acme.com/me", "not such as https://"},
		"an id that is not known yet":      {"{expires}", "{id}", "{id} has no place there"},
		"no id to delete by":               {"/{id}", "", "delete: configuration: {id} is missing"},
		"no name to find it by":            {"{name}", "x", "create: configuration: {name} is missing"},
		"no key to make calls with":        {"{secret}", "x", "no call would be made with a key"},
		"a method that is none":            {`"DELETE"`, `"PURGE"`, `the method "PURGE" is none of`},
		"two bodies":                       {`"json":`, `"form":{"a":"b"},"json":`, "two bodies"},
		"a pointer that is none":           {`"/token"`, `"token"`, "create.secret"},
		"a list that is at no pointer":     {`"/data"`, `"data"`, "list.items"},
		"a lifetime that is none":          {"2160h", "90 days", "lifetime"},
		"no lifetime for {expires}":        {`,"lifetime":"2160h"`, "", "{expires} needs a lifetime"},
		"a member that nobody knows":       {`"lifetime"`, `"lifespan"`, "lifespan"},
		"something after the end":          {`}}`, `}} {}`, "after their end"},
		"another kind of value than there": {`"2160h"`, `7`, "definitions of providers"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := strings.Replace(whole, tt.from, tt.to, 1)
			if text == whole {
				t.Fatal("nothing was changed")
			}
			_, err := apikey.ParseDefinitions(text)
			if err == nil || !strings.Contains(err.Error(), tt.want) || rotation.Explain(err).Class != rotation.ClassConfiguration {
				t.Errorf("got %v, want it to say %q", err, tt.want)
			}
		})
	}
}

func FuzzParseDefinitions(f *testing.F) {
	f.Add(fmt.Sprintf(`{"acme":{%s,%s,%s,%s,%s}}`, create, list, del, verify, auth))
	f.Add(twilio("https://api.twilio.com"))
	f.Fuzz(func(t *testing.T, text string) {
		all, err := apikey.ParseDefinitions(text)
		if err != nil && rotation.Explain(err).Class != rotation.ClassConfiguration {
			t.Errorf("%v is of another class", err)
		}
		for name, d := range all {
			for _, url := range []string{d.Create.URL, d.List.URL, d.Delete.URL, d.Verify.URL} {
				if err == nil && (strings.Contains(url, "{secret}") || !strings.Contains(url, "://")) {
					t.Errorf("%s has the address %q", name, url)
				}
			}
		}
	})
}

// TestAnswersThatCannotBeAreRefused has a provider that answers what it should
// not. No error may hold what it says, nor the key.
func TestAnswersThatCannotBeAreRefused(t *testing.T) {
	t.Parallel()
	const key = "canary-4711"
	for name, tt := range map[string]struct {
		status int
		header string // of Location
		body   string
		want   rotation.Class
	}{
		"the key is refused":            {401, "", key, rotation.ClassAuthentication},
		"a right lacks":                 {403, "", key, rotation.ClassPermission},
		"too many calls":                {429, "", key, rotation.ClassConflict},
		"it is down":                    {503, "", key, rotation.ClassNetwork},
		"no such address":               {404, "", key, rotation.ClassConfiguration},
		"it sends the key to elsewhere": {307, "https://evil.com/" + key, key, rotation.ClassConfiguration},
		"it is no JSON":                 {200, "", "<" + key, rotation.ClassConfiguration},
		"it has no list":                {200, "", `{"data":{}}`, rotation.ClassConfiguration},
		"it does not end":               {200, "", `{"data":["` + strings.Repeat(key, 1<<17) + `"]}`, rotation.ClassConfiguration},
		"the next page is elsewhere":    {200, "", `{"data":[],"next":"https://evil.com/` + key + `"}`, rotation.ClassConfiguration},
		"there is always a next page":   {200, "", `{"data":[],"next":"/keys?page=2"}`, rotation.ClassConfiguration},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if tt.header != "" {
					w.Header().Set("Location", tt.header)
				}
				w.WriteHeader(tt.status)
				_, _ = w.Write([]byte(tt.body))
			}))
			text := fmt.Sprintf(`{"acme":{%s,%s,%s,%s,%s}}`, create, list, del, verify, auth)
			text = strings.ReplaceAll(text, "https://api.acme.com", url)
			text = strings.Replace(text, `"/label"}`, `"/label","next":"/next"}`, 1)
			def := must(apikey.ParseDefinitions(text))["acme"]
			_, err := apikey.NewHTTP(client(t), def).List(t.Context(), apikey.Key{Secret: rotation.NewValue(key)})
			if got := rotation.Explain(err).Class; err == nil || got != tt.want {
				t.Errorf("got %v (%s), want %s", err, got, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), key) {
				t.Errorf("the error holds the key: %v", err)
			}
		})
	}
}

func TestAPlaintextAddressOfAProviderIsRefused(t *testing.T) {
	t.Parallel()
	for url, ok := range map[string]bool{
		"https://api.eu.sendgrid.com": true, "http://127.0.0.1:1": true, "http://localhost:1/": true, "http://[::1]:1": true, "": true,
		"http://api.sendgrid.com": false, "ftp://127.0.0.1": false, "api.sendgrid.com": false, "https://a@b": false,
	} {
		_, sendgrid := apikey.NewSendGrid(nil, url)
		_, stripe := apikey.NewStripe(nil, url)
		if (sendgrid == nil) != ok || (stripe == nil) != ok {
			t.Errorf("%q: %v, %v; want it taken: %v", url, sendgrid, stripe, ok)
		}
	}
}
