package providers

import (
	"net/http"
	"strconv"
)

// Twilio is an account at Twilio, with the Key resource of its API of
// 2010-04-01. Lists come in pages of two.
type Twilio struct {
	ring
	http.Handler
}

// TwilioAccount is the SID of the account.
const TwilioAccount = "AC00000000000000000000000000000001"

const twilioPage = 2

// NewTwilio returns an account without keys.
func NewTwilio() *Twilio {
	p := &Twilio{}
	account := "/2010-04-01/Accounts/" + TwilioAccount
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+account+"/Keys.json", p.with(p.list))
	mux.HandleFunc("POST "+account+"/Keys.json", p.with(func(w http.ResponseWriter, r *http.Request) {
		name := r.FormValue("FriendlyName")
		id, secret := p.Add(name)
		answer(w, http.StatusCreated, map[string]any{"sid": id, "friendly_name": name, "secret": secret})
	}))
	mux.HandleFunc("DELETE "+account+"/Keys/{file}", p.with(func(w http.ResponseWriter, r *http.Request) {
		sid, isJSON := cutJSON(r.PathValue("file"))
		if !isJSON || !p.remove(sid) {
			answer(w, http.StatusNotFound, map[string]any{"code": 20404, "status": 404})
			return
		}
		answer(w, http.StatusNoContent, nil)
	}))
	mux.HandleFunc("GET "+account+"/Messages.json", p.with(func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]any{"messages": []any{}, "page_size": 1})
	}))
	p.Handler = mux
	return p
}

func cutJSON(file string) (sid string, ok bool) {
	const ending = ".json"
	if len(file) <= len(ending) || file[len(file)-len(ending):] != ending {
		return "", false
	}
	return file[:len(file)-len(ending)], true
}

// Add makes a key, and returns its SID and its secret.
func (p *Twilio) Add(name string) (id, secret string) {
	id, secret = "SK"+random(32), random(32)
	p.add(&record{id: id, name: name, secret: secret})
	return id, secret
}

// Revoke deletes a key.
func (p *Twilio) Revoke(id string) { p.remove(id) }

func (p *Twilio) with(then http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id, secret, _ := r.BasicAuth()
		if _, ok := p.use(func(k *record) bool { return k.id == id && k.secret == secret }); !ok {
			answer(w, http.StatusUnauthorized, map[string]any{"code": 20003, "message": "Authenticate", "status": 401})
			return
		}
		then(w, r)
	}
}

func (p *Twilio) list(w http.ResponseWriter, r *http.Request) {
	page, _ := strconv.Atoi(r.FormValue("Page"))
	all := p.all()
	from := min(max(page, 0)*twilioPage, len(all))
	to := min(from+twilioPage, len(all))
	items := []any{}
	for _, k := range all[from:to] {
		items = append(items, map[string]any{"sid": k.id, "friendly_name": k.name})
	}
	var next any
	if to < len(all) {
		next = r.URL.Path + "?Page=" + strconv.Itoa(page+1)
	}
	answer(w, http.StatusOK, map[string]any{"keys": items, "next_page_uri": next})
}
