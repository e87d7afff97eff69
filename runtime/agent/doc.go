// Package agent serves secrets over HTTP on the machine itself, for programs
// in other languages.
//
//	client, err := secrets.FromEnv(cfg, os.Getenv, agent.NamesAsGiven)
//	...
//	go client.Run(ctx)
//	err = agent.New(client, token).Serve(ctx, listener)
//
// It answers the requests of the AWS Secrets Manager Agent and of the AWS
// Parameters and Secrets Lambda Extension, so that programs written for those
// need no change:
//
//	GET /secretsmanager/get?secretId=NAME   also versionStage, versionId, refreshNow
//	GET /v1/NAME                            the same, by path
//	GET /ping                               healthy
//
// The secret is named as Secrets Manager names it: by its full name, or by its
// ARN. The answer has the members of GetSecretValue.
//
// # What differs from AWS's
//
// Values follow rotations, because the client behind the agent does: it reads
// the bulletin, or listens to a queue. Reads do not wait for AWS while a value
// may still be served, and a value that is served beyond its time, because
// Secrets Manager could not be asked, has the header X-Rekey-Stale. A request
// whose Host is not this machine is refused, as a web page's would be whose
// name was made to point here. GET /stats has the counts.
//
// # Who may read
//
// Whoever has the token, and can reach the listener. A request has to bear the
// token in the header X-Aws-Parameters-Secrets-Token or X-Vault-Token, which a
// server that was tricked into fetching a URL does not send; and one that was
// forwarded, so that it bears X-Forwarded-For, is refused. The answer is not
// encrypted: the listener belongs on the loopback interface, or on a socket of
// the file system.
//
// No value is ever logged, and of a request only the secret's id.
//
// # As a Lambda extension
//
// [RunExtension] serves the function whose execution environment it runs in.
// It looks at the bulletin whenever the environment is thawed for an
// invocation, and gives its leases up when the environment ends.
package agent
