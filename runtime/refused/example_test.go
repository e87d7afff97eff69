package refused_test

import (
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/rekey-go/rekey/runtime/refused"
)

func ExamplePostgres() {
	wrongPassword := fmt.Errorf("connecting: %w", &pgconn.PgError{Code: "28P01"})
	noDatabase := fmt.Errorf("connecting: %w", &pgconn.PgError{Code: "3D000"})
	fmt.Println(refused.Postgres(wrongPassword), refused.Postgres(noDatabase))
	// Output: true false
}
