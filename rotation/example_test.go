package rotation_test

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/rekey-go/rekey/rotation"
	"github.com/rekey-go/rekey/rotation/rotationtest"
)

// A function of one's own: the rotator does what is the same for every secret,
// the strategy what is special. Here both the store and the database are in
// memory; in AWS they are [rotation.NewStore] and package postgres.
func Example() {
	server := rotationtest.NewServer("admin", "superuser's")
	server.SetUser("app", "first")
	store := rotationtest.NewStore(rotation.NewValue(`{"host":"db","username":"app","password":"first"}`), nil)
	rotator := rotation.New(store, rotation.Options{
		Choose: rotation.Only(rotation.SingleUser{Database: server}),
		OnPromoted: func(_ context.Context, p rotation.Promotion) error {
			fmt.Println(p.Name, "went from", p.PreviousVersionID, "to", p.VersionID)
			return nil
		},
		Logger: slog.New(slog.DiscardHandler),
	})

	event := store.Begin("version-2") // as Secrets Manager does
	for _, event.Step = range []rotation.Step{
		rotation.StepCreate, rotation.StepSet, rotation.StepTest, rotation.StepFinish,
	} {
		if err := rotator.Step(context.Background(), event); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println("the first password still works:", server.Users()["app"] == "first")
	// Output:
	// db went from version-1 to version-2
	// the first password still works: false
}
