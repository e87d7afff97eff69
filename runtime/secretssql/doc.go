// Package secretssql lets any driver of database/sql log in with a secret, and
// live through the rotations of that secret.
//
//	connector := secretssql.NewConnector(client, "database-credentials", func(s *secrets.Secret) (driver.Connector, error) {
//		l, err := login.Parse(s, "host", "username", "password")
//		if err != nil {
//			return nil, err
//		}
//		cfg := mysql.NewConfig()
//		cfg.Net, cfg.Addr, cfg.DBName = "tcp", l.Addr(3306), l.Database
//		cfg.User, cfg.Passwd, cfg.TLSConfig = l.Username, l.Password(), "true"
//		return mysql.NewConnector(cfg)
//	})
//	db := sql.OpenDB(connector)
//
// The pool is that of database/sql, and the package imports no driver.
//
// # Rotations
//
// Each new connection logs in with the secret as it is at that moment. When
// another version becomes current, a connection that was made with the one
// before ends when its query or transaction does, and one that is idle when
// its turn comes: no query fails. Idle connections whose turn never comes
// stay open; [database/sql.DB.SetConnMaxIdleTime] bounds that. A refused login
// climbs the [secrets.Ladder] of the secret. How refusals are known is
// [Options.Refused]; that of PostgreSQL, MySQL, MariaDB, SQL Server and Oracle
// is known already.
//
// # The driver's own connection
//
// What a driver offers beside the minimum, such as contexts, transaction
// options and types of its own for arguments, works as without this package.
// Only [database/sql.Conn.Raw] gives this package's connection; [Unwrap] finds
// the driver's in it.
//
// No error of this package quotes a value; that of the function which makes
// the driver's connector is passed on, and must not.
package secretssql
