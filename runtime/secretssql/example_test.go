package secretssql_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"

	"github.com/go-sql-driver/mysql"

	"github.com/rekey-go/rekey/runtime/internal/stagetest"
	"github.com/rekey-go/rekey/runtime/login"
	"github.com/rekey-go/rekey/runtime/secrets"
	"github.com/rekey-go/rekey/runtime/secretssql"
)

func ExampleNewConnector() {
	client := stagetest.New(`{"host":"db.internal","username":"app","dbname":"shop"}`).Client() // secrets.FromEnv(cfg, os.Getenv)

	db := sql.OpenDB(secretssql.NewConnector(client, "db", func(s *secrets.Secret) (driver.Connector, error) {
		l, err := login.Parse(s, "host", "username", "password")
		if err != nil {
			return nil, err
		}
		cfg := mysql.NewConfig()
		cfg.Net, cfg.Addr, cfg.DBName = "tcp", l.Addr(3306), l.Database
		cfg.User, cfg.Passwd, cfg.TLSConfig = l.Username, l.Password(), "true"
		return mysql.NewConnector(cfg)
	}))
	defer func() { _ = db.Close() }()

	fmt.Println(db.PingContext(context.Background()))
	// Output: connecting with db: reading the login secret(dev-db@v1): "password" is missing: the value has not the expected shape
}
