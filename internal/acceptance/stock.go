package main

import (
	"errors"
	"fmt"
)

// The values of the documents, with which the sample applications work.
const (
	databaseValue = `{"host":"localhost","username":"test","password":"test123"}`
	keysValue     = `{"stripe":"sk_test_1","sendgrid":"SG.1.sample"}`
	nextKeysValue = `{"stripe":"sk_test_2","sendgrid":"SG.1.sample"}`
	jwtValue      = `{"signing_key":"the-first-256-bit-secret-key-of-the-shop","issuer":"myapp.com"}`

	aLogin = `{"email":"test@example.com","password":"password123"}`
)

// store stores a value through the admin API.
func (s *system) store(name, value string) error {
	return s.admin("POST", "/admin/secrets", fmt.Sprintf(`{"secretName":%q,"secretValue":%s}`, name, value)).
		is(200, fmt.Sprintf(`{"message":"Secret '%s' stored successfully"}`, name))
}

// make stores the first value of a secret that the template does not define.
func (s *system) make(name, value string) error {
	return s.admin("POST", "/admin/secrets", fmt.Sprintf(`{"secretName":%q,"secretValue":%s,"create":true}`, name, value)).
		is(200, fmt.Sprintf(`{"message":"Secret '%s' stored successfully"}`, name))
}

// stock stores the values of the documents and waits until they are in use.
func (s *system) stock() error {
	return errors.Join(
		s.store("database-credentials", databaseValue),
		s.store("external-api-keys", keysValue),
		s.store("jwt-configuration", jwtValue),
		s.until(func() error { return s.call("POST", "/auth/login", aLogin).like(200, `"token"`) }),
	)
}
