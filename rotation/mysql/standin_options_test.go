package mysql

import (
	"encoding/json"
	"maps"
	"strconv"
	"strings"
)

// options are the columns of mysql.user, in the order of the query.
func (a *modelAccount) options() (row []*string) {
	for _, c := range []string{"ssl_type", "ssl_cipher", "x509_issuer", "x509_subject", "MAX_QUERIES_PER_HOUR", "MAX_UPDATES_PER_HOUR", "MAX_CONNECTIONS_PER_HOUR", "MAX_USER_CONNECTIONS"} {
		row = append(row, a.columns[c])
	}
	isLocked := "0"
	if a.locked {
		isLocked = "1"
	}
	row = append(row, &isLocked, a.columns["EXPIRE"], a.columns["HISTORY"], a.columns["REUSE"], &a.requireCurrent)
	attributes := maps.Clone(a.attributes)
	if a.second != "" {
		attributes["additional_password"] = a.second
	}
	text, _ := json.Marshal(attributes)
	return append(row, new(string(text)))
}

// alterOptions takes the clauses in the order that the grammar wants.
func (a *modelAccount) alterOptions(q *scanner) error {
	if q.take("REQUIRE") {
		for _, c := range []string{"ssl_cipher", "x509_issuer", "x509_subject"} {
			a.columns[c] = new("")
		}
		switch {
		case q.take("NONE"):
			a.columns["ssl_type"] = new("")
		case q.take("SSL"):
			a.columns["ssl_type"] = new("ANY")
		case q.take("X509"):
			a.columns["ssl_type"] = new("X509")
		default:
			a.columns["ssl_type"] = new("SPECIFIED")
			for word, c := range map[string]string{"CIPHER": "ssl_cipher", "ISSUER": "x509_issuer", "SUBJECT": "x509_subject"} {
				for i, t := range q.tokens[:len(q.tokens)-1] {
					if t.is(word) {
						a.columns[c] = &q.tokens[i+1].text
					}
				}
			}
			for q.take("CIPHER") || q.take("ISSUER") || q.take("SUBJECT") {
				if _, ok := q.quoted(); !ok {
					return errSyntax
				}
			}
		}
	}
	if q.take("WITH") {
		for strings.HasPrefix(q.peek().text, "MAX_") {
			c := q.peek().text
			q.next++
			if a.columns[c] == nil {
				return errSyntax
			}
			a.columns[c] = new(q.peek().text)
			q.next++
		}
	}
	for q.next < len(q.tokens) && !q.peek().is("ATTRIBUTE") {
		if err := a.alterOption(q); err != nil {
			return err
		}
	}
	if q.take("ATTRIBUTE") {
		text, _ := q.quoted()
		var given map[string]any
		if json.Unmarshal([]byte(text), &given) != nil {
			return refused{3140, "Invalid JSON text"}
		}
		metadata, _ := a.attributes["metadata"].(map[string]any)
		merged := maps.Clone(metadata)
		if merged == nil {
			merged = make(map[string]any)
		}
		for k, v := range given {
			if merged[k] = v; v == nil {
				delete(merged, k)
			}
		}
		if a.attributes["metadata"] = merged; len(merged) == 0 {
			delete(a.attributes, "metadata")
		}
	}
	return nil
}

// alterOption takes one of the options of passwords and locks.
func (a *modelAccount) alterOption(q *scanner) error {
	number := func(column string, unit ...string) error {
		if a.columns[column] = nil; q.take("DEFAULT") {
			return nil
		}
		n := q.peek().text
		q.next++
		if _, err := strconv.Atoi(n); err != nil || len(unit) > 0 && !q.take(unit...) {
			return errSyntax
		}
		a.columns[column] = &n
		return nil
	}
	switch {
	case q.take("ACCOUNT", "LOCK"):
		a.locked = true
	case q.take("ACCOUNT", "UNLOCK"):
		a.locked = false
	case q.take("PASSWORD", "EXPIRE", "NEVER"):
		a.columns["EXPIRE"] = new("0")
	case q.take("PASSWORD", "EXPIRE", "INTERVAL"):
		return number("EXPIRE", "DAY")
	case q.take("PASSWORD", "EXPIRE"):
		return number("EXPIRE")
	case q.take("PASSWORD", "HISTORY"):
		return number("HISTORY")
	case q.take("PASSWORD", "REUSE", "INTERVAL"):
		if q.take("DEFAULT") {
			a.columns["REUSE"] = nil
			return nil
		}
		return number("REUSE", "DAY")
	case q.take("PASSWORD", "REQUIRE", "CURRENT", "DEFAULT"):
		a.requireCurrent = ""
	case q.take("PASSWORD", "REQUIRE", "CURRENT", "OPTIONAL"):
		a.requireCurrent = "N"
	case q.take("PASSWORD", "REQUIRE", "CURRENT"):
		a.requireCurrent = "Y"
	case q.take("FAILED_LOGIN_ATTEMPTS"):
		return a.locking("failed_login_attempts", q)
	case q.take("PASSWORD_LOCK_TIME"):
		return a.locking("password_lock_time_days", q)
	default:
		return errSyntax
	}
	return nil
}

func (a *modelAccount) locking(member string, q *scanner) error {
	n, err := strconv.Atoi(q.peek().text)
	if q.peek().is("UNBOUNDED") {
		n, err = -1, nil
	}
	q.next++
	if err != nil {
		return errSyntax
	}
	had, _ := a.attributes["Password_locking"].(map[string]any)
	now := map[string]any{"failed_login_attempts": 0, "password_lock_time_days": 0}
	maps.Copy(now, had)
	now[member] = n
	if a.attributes["Password_locking"] = now; now["failed_login_attempts"] == 0 && now["password_lock_time_days"] == 0 {
		delete(a.attributes, "Password_locking")
	}
	return nil
}
