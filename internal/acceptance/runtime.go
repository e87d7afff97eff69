package main

import (
	"encoding/json"
	"errors"
	"fmt"
)

// runtimeStatements are about package runtime/secrets: the shapes of values.
func runtimeStatements() []statement {
	return []statement{
		{"M50", "a read as JSON returns the object", objectsAreRead},
		{"M51", "a read as a string returns the text", textsAreRead},
		{"M52", "a read without a type tells JSON from text", shapesAreToldApart},
		{"M53", "a program sets an object, and the aws CLI reads it back", programsSetObjects},
	}
}

func objectsAreRead(r *run) error {
	const object = `{"host":"db.com","username":"user","password":"pass","port":5432,"nested":{"list":[1,"two",null,false]}}`
	s := r.shop()
	p, err := s.probe(s.Ready.AWS)
	if err != nil {
		return err
	}
	return errors.Join(
		s.make("m50", object),
		p.returns(order{Do: "json", Name: "m50"}, object),
		p.returns(order{Do: "json", Name: "m50"}, object), // from memory
		s.make("m50-text", `"no object"`),
		p.fails(order{Do: "json", Name: "m50-text"}, "decode"),
	)
}

func textsAreRead(r *run) error {
	s := r.shop()
	p, err := s.probe(s.Ready.AWS)
	if err != nil {
		return err
	}
	var errs []error
	for i, text := range []string{"sk_" + "live_1234567890abcdef", " \t\"quoted\" \\ 'and'\nlines\r\n", "пароль-値-🔑", `{"as":"it is",  "written": 1.0}`} {
		name := fmt.Sprintf("m51-%d", i)
		errs = append(errs, s.make(name, marshal(text)), p.returns(order{Do: "string", Name: name}, marshal(text)))
	}
	return errors.Join(errs...)
}

func shapesAreToldApart(r *run) error {
	s := r.shop()
	p, err := s.probe(s.Ready.AWS)
	if err != nil {
		return err
	}
	empty, err := r.empty().probe(r.empty().Ready.AWS)
	if err != nil {
		return err
	}
	errs := []error{empty.fails(order{Do: "any", Name: "jwt-configuration"}, "no value")}
	for i, v := range []struct{ text, want string }{
		{`{}`, `{}`},
		{`[]`, `[]`},
		{`"x"`, `"x"`},
		{`123`, `123`},
		{`12345678901234567890`, `12345678901234567890`},
		{`true`, `true`},
		{`null`, `null`},
		{`{bad`, `"{bad"`},
		{`0123`, `"0123"`},
		{`plain`, `"plain"`},
		{` `, `" "`},
		{`{"a":[1]}`, `{"a":[1]}`},
	} {
		name := fmt.Sprintf("m52-%d", i)
		errs = append(errs, s.make(name, marshal(v.text)))
		if err := p.returns(order{Do: "any", Name: name}, v.want); err != nil {
			errs = append(errs, fmt.Errorf("of %q: %w", v.text, err))
		}
	}
	return errors.Join(errs...)
}

func programsSetObjects(r *run) error {
	const object = `{"host":"prod-db.example.com","username":"app_user","password":"secure-<&>-password","port":5432}`
	s := r.shop()
	p, err := s.probe(s.Ready.AWS)
	if err != nil {
		return err
	}
	made := s.make("m53", `"before"`)
	set, err := p.do(order{Do: "set", Name: "m53", Value: json.RawMessage(object)})
	return errors.Join(made, err, equal("the error", set.Says, ""),
		s.sh("aws secretsmanager get-secret-value --secret-id dev-m53 --query SecretString --output text").isJSON(object),
		s.sh("aws secretsmanager get-secret-value --secret-id dev-m53 --query VersionId --output text").prints(set.Version))
}
