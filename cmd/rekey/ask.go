package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rekey-go/rekey/internal/question"
)

// ask puts a question to the function that rotates a secret, which is where its
// target can be reached from, and decodes the answer.
func (a *app) ask(ctx context.Context, cfg aws.Config, what, name string, answer any) error {
	about, err := secretsmanager.NewFromConfig(cfg).DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: new(a.secretID(name))})
	if err != nil {
		return err
	}
	function := aws.ToString(about.RotationLambdaARN)
	if function == "" {
		return withHint(fmt.Errorf("%s has no rotation function to ask", a.logical(aws.ToString(about.Name))),
			"give it one: aws secretsmanager rotate-secret --secret-id "+aws.ToString(about.Name)+" --rotation-lambda-arn ARN --no-rotate-immediately")
	}
	return a.invoke(ctx, cfg, function, question.Request{Question: what, SecretID: aws.ToString(about.ARN)}, answer)
}

// invoke calls one of rekey's functions, and decodes the answer.
func (a *app) invoke(ctx context.Context, cfg aws.Config, function string, request, answer any) error {
	payload, err := json.Marshal(request)
	if err != nil {
		return err
	}
	out, err := lambda.NewFromConfig(cfg).Invoke(ctx, &lambda.InvokeInput{FunctionName: &function, Payload: payload})
	if err != nil {
		return err
	}
	if aws.ToString(out.FunctionError) != "" {
		var failed struct{ ErrorMessage string }
		_ = json.Unmarshal(out.Payload, &failed) // an answer of another shape has no message
		return withHint(fmt.Errorf("the function could not answer: %s", oneLine(failed.ErrorMessage)), "its log says more: "+function)
	}
	if err := json.Unmarshal(out.Payload, answer); err != nil {
		return withHint(errors.New("the function's answer cannot be read"), "it may be a function that is not rekey's: "+function)
	}
	return nil
}
