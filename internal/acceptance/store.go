package main

import (
	"errors"
	"fmt"
	"strings"
)

// storeStatements are about POST /admin/secrets.
func storeStatements() []statement {
	return []statement{
		{"M16", "there is POST /admin/secrets", storeIsThere},
		{"M17", "the admin token is taken from the Authorization header, however that is written", tokenIsInTheHeader},
		{"M18", "without a token the answer is 403 and the words for it", refusedWithoutToken},
		{"M19", "a wrong token has the very same answer as none", wrongTokensLearnNothing},
		{"M20", "an empty body is taken for {} and refused as JSON", emptyBodiesAreRefused},
		{"M21", "a value may be a JSON object, and comes back equal", objectsComeBack},
		{"M22", "a value may be a text, and comes back to the byte", textsComeBack},
		{"M23", "a stored value is the version that has AWSCURRENT", storedIsCurrent},
		{"M24", "the answer says in the given words what was stored", storedIsSaid},
		{"M25", "a store that fails is 500 and the words for it", failedStoresAreSaid},
		{"M26", "malformed JSON is 400, harms nothing and is not repeated", malformedBodiesAreHarmless},
	}
}

const forbidden = `{"error":"Admin access required"}`

func storeIsThere(r *run) error {
	s := r.shop()
	return errors.Join(
		s.make("m16", `"a value"`),
		s.call("POST", "/admin/secretz", `{}`, asAdmin).like(404, ""),
		s.sh("rekey list").shows("m16"),
	)
}

func tokenIsInTheHeader(r *run) error {
	s := r.shop()
	var errs []error
	for _, header := range []string{"Authorization: Bearer " + token, "authorization: Bearer " + token, "AUTHORIZATION: bearer " + token} {
		errs = append(errs, s.call("POST", "/admin/secrets", `{"secretName":"m17","secretValue":"a value","create":true}`, header).
			is(200, `{"message":"Secret 'm17' stored successfully"}`))
	}
	return errors.Join(errs...)
}

func refusedWithoutToken(r *run) error {
	a := r.shop().call("POST", "/admin/secrets", `{"secretName":"m18","secretValue":"a value","create":true}`, isJSON)
	return errors.Join(
		a.is(403, forbidden), a.has("Content-Type", "application/json"),
		r.shop().sh("rekey get m18").fails("ResourceNotFoundException"),
	)
}

// wrongTokensLearnNothing compares whole answers, but for what tells the
// request and the time.
func wrongTokensLearnNothing(r *run) error {
	s := r.shop()
	ask := func(headers ...string) answer {
		a := s.call("POST", "/admin/secrets", `{"secretName":"m19","secretValue":"a value","create":true}`, append(headers, isJSON)...)
		for _, own := range []string{"Date", "X-Request-Id", "Apigw-Requestid"} {
			a.header.Del(own)
		}
		return a
	}
	none := ask()
	errs := []error{none.is(403, forbidden)}
	for _, header := range []string{notAdmin, "Authorization: Bearer", "Authorization: " + token, "Authorization: Basic YTpi", "Authorization: Bearer " + strings.Repeat("x", 4000)} {
		wrong := ask(header)
		errs = append(errs, wrong.is(403, forbidden), equal("the headers", fmt.Sprint(wrong.header), fmt.Sprint(none.header)))
	}
	return errors.Join(errs...)
}

func emptyBodiesAreRefused(r *run) error {
	s := r.up("--no-database")
	want := func(a answer) error {
		var problem struct {
			Error, Detail string
			Status        int
		}
		return errors.Join(a.like(400, `"error":"Failed to store secret"`), a.has("Content-Type", "application/problem+json"), a.into(&problem),
			equal("the detail", problem.Detail, "secretName is missing"), equal("the status", problem.Status, 400))
	}
	first := want(s.admin("POST", "/admin/secrets", ""))
	process := s.functions("admin")
	return errors.Join(
		first, want(s.admin("POST", "/admin/secrets", "{}")),
		s.runsOn("admin", process),
		s.store("jwt-configuration", jwtValue),
	)
}

// current reads a value from Secrets Manager.
func (s *system) current(name string) (string, error) {
	var got struct{ SecretString string }
	a := s.aws("secretsmanager", "secretsmanager.GetSecretValue", `{"SecretId":"dev-`+name+`"}`).answer()
	err := errors.Join(a.like(200, ""), a.into(&got))
	return got.SecretString, err
}

func objectsComeBack(r *run) error {
	const object = `{"host":"db","port":5432,"big":12345678901234567890,"tls":true,"none":null,"nested":{"list":[1,"two",{"three":3.10}]},"ключ":"値"}`
	s := r.shop()
	err := s.make("m21", object)
	got, unread := s.current("m21")
	return errors.Join(err, unread, sameJSON(got, object))
}

func textsComeBack(r *run) error {
	s := r.shop()
	texts := []string{"sk_live_plain", "  spaces \t", "\"quoted\" 'both' \\ ways", "two\nlines\r\n", "пароль-値-🔑", "<&>\u2028", `{"not":"parsed"}`, "null"}
	var errs []error
	var names []string
	for i, text := range texts {
		name := fmt.Sprintf("m22-%d", i)
		errs = append(errs, s.make(name, marshal(text)))
		names = append(names, "dev-"+name)
	}
	var got struct {
		SecretValues []struct{ Name, SecretString string }
	}
	err := s.aws("secretsmanager", "secretsmanager.BatchGetSecretValue", marshal(map[string]any{"SecretIdList": names})).answer().into(&got)
	read := make(map[string]string)
	for _, v := range got.SecretValues {
		read[v.Name] = v.SecretString
	}
	for i, name := range names {
		errs = append(errs, equal("the text", fmt.Sprintf("%q", read[name]), fmt.Sprintf("%q", texts[i])))
	}
	return errors.Join(append(errs, err)...)
}

func storedIsCurrent(r *run) error {
	s := r.shop()
	first := s.admin("POST", "/admin/secrets", `{"secretName":"m23","secretValue":"first","create":true}`)
	second := s.admin("POST", "/admin/secrets", `{"secretName":"m23","secretValue":"second"}`)
	one, two := first.header.Get("Rekey-Version-Id"), second.header.Get("Rekey-Version-Id")
	got := s.sh("aws secretsmanager describe-secret --secret-id dev-m23 --query VersionIdsToStages --output json")
	value, err := s.current("m23")
	return errors.Join(first.like(200, ""), second.like(200, ""), got.went(), err,
		sameJSON(got.out, fmt.Sprintf(`{%q:["AWSPREVIOUS"],%q:["AWSCURRENT"]}`, one, two)), equal("the value", value, "second"))
}

func storedIsSaid(r *run) error {
	a := r.shop().admin("POST", "/admin/secrets", `{"secretName":"m24/with.all_of+it=@","secretValue":"a value","create":true}`)
	return errors.Join(
		a.is(200, `{"message":"Secret 'm24/with.all_of+it=@' stored successfully"}`),
		a.has("Content-Type", "application/json"), a.has("Cache-Control", "no-store"),
	)
}

// failedStoresAreSaid has Secrets Manager refuse the store, by a policy of the
// secret.
func failedStoresAreSaid(r *run) error {
	const marker = "marker-of-m25"
	s := r.up("--no-database")
	a := func() answer {
		return s.admin("POST", "/admin/secrets", `{"secretName":"jwt-configuration","secretValue":{"signing_key":"`+marker+`","issuer":"x"}}`)
	}
	failed := errors.Join(s.deny("jwt-configuration", "PutSecretValue"), a().is(500, `{"error":"Failed to store secret"}`))
	err := errors.Join(failed,
		s.logs("admin call failed", "AccessDeniedException"),
		s.allow("jwt-configuration"),
		a().like(200, "stored successfully"),
	)
	s.stop() // the log is whole
	return errors.Join(err, lacks("the log", s.log(), marker))
}

// deny has a secret refuse an action to everybody.
func (s *system) deny(name, action string) error {
	policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"secretsmanager:` + action + `","Resource":"*"}]}`
	return s.aws("secretsmanager", "secretsmanager.PutResourcePolicy", marshal(map[string]string{"SecretId": "dev-" + name, "ResourcePolicy": policy})).
		answer().like(200, "")
}

// allow takes that back.
func (s *system) allow(name string) error {
	return s.aws("secretsmanager", "secretsmanager.DeleteResourcePolicy", `{"SecretId":"dev-`+name+`"}`).answer().like(200, "")
}

func malformedBodiesAreHarmless(r *run) error {
	const marker = "marker-of-m26"
	s := r.up("--no-database")
	var errs []error
	for _, body := range []string{
		`{"secretName":"jwt-configuration","secretValue":"` + marker, `{"secretValue":"` + marker + `"`, marker, `[` + `"` + marker + `"]`,
		`{"secretName":"jwt-configuration","secretValue":"` + marker + `"} {}`, `{"secretName":1,"secretValue":"` + marker + `"}`,
		`{"secretName":"jwt-configuration","secretValue":"a","secretValue":"` + marker + `"}`, "\xff\xfe" + marker, "null",
	} {
		a := s.admin("POST", "/admin/secrets", body)
		errs = append(errs, a.like(400, `"error":"Failed to store secret"`), lacks("the answer", a.body, marker))
	}
	errs = append(errs,
		s.sh("aws secretsmanager describe-secret --secret-id dev-jwt-configuration --query VersionIdsToStages").prints("null"),
		s.store("jwt-configuration", jwtValue),
	)
	s.stop() // the log is whole
	return errors.Join(append(errs, lacks("the log", s.log(), marker))...)
}
