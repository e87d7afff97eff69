package secrets_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rekey-go/rekey/runtime/secrets"
)

// static is a Secrets Manager with one value.
type static struct{ secrets.SecretsManager }

func (static) GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error) {
	return &secretsmanager.GetSecretValueOutput{
		Name: new("dev-external-api-keys"), VersionId: new("v1"), SecretString: new(`{"stripe":"sk_test"}`),
	}, nil
}

func ExampleBind() {
	client := secrets.New(static{}, func(o *secrets.Options) { o.Stage = "dev" })
	type keys struct{ Stripe string }
	ref := secrets.Bind[keys](client, "external-api-keys")

	k, err := ref.Get(context.Background()) // decoded once per version
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(k.Stripe))
	// Output: 7
}

func ExampleSecret() {
	client := secrets.New(static{}, func(o *secrets.Options) { o.Stage = "dev" })
	secret, err := client.Get(context.Background(), "external-api-keys")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%v %+v %s\n", secret, secret, secret)
	// Output: secret(dev-external-api-keys@v1) secret(dev-external-api-keys@v1) secret(dev-external-api-keys@v1)
}

// The loop ends with its context, or when it is left.
func ExampleClient_Watch() {
	client := secrets.New(static{}, func(o *secrets.Options) { o.Stage = "dev" })
	for secret, err := range client.Watch(context.Background(), "external-api-keys") {
		if err != nil {
			fmt.Println(err) // and it is tried again
			continue
		}
		fmt.Println("now", secret)
		break
	}
	// Output: now secret(dev-external-api-keys@v1)
}

// A pending value is what a server wants between two steps of a rotation.
func ExampleUse() {
	client := secrets.New(staged{"AWSCURRENT": `{"key":"old"}`, "AWSPENDING": `{"key":"new"}`})
	type value struct{ Key string }
	ref := secrets.Bind[value](client, "external-api-keys")

	errRefused := errors.New("401 Unauthorized")
	refused := func(err error) bool { return errors.Is(err, errRefused) }
	err := secrets.Use(context.Background(), ref, refused, func(_ context.Context, v value) error {
		if v.Key != "new" {
			return errRefused
		}
		fmt.Println("accepted")
		return nil
	})
	fmt.Println(err)
	// Output:
	// accepted
	// <nil>
}

// staged is a Secrets Manager with a value for each label.
type staged map[string]string

func (s staged) GetSecretValue(_ context.Context, in *secretsmanager.GetSecretValueInput, _ ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error) {
	label := aws.ToString(in.VersionStage)
	if label == "" {
		label = "AWSCURRENT"
	}
	return &secretsmanager.GetSecretValueOutput{Name: in.SecretId, VersionId: new("version of " + label), SecretString: new(s[label])}, nil
}

func (staged) PutSecretValue(context.Context, *secretsmanager.PutSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.PutSecretValueOutput, error) {
	return nil, errors.ErrUnsupported
}
