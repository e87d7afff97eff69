package lambda_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"
)

// A packed file is one of a deployment package.
type packed struct {
	name, text string
	mode       fs.FileMode
}

// script is a bootstrap that becomes the test function.
const script = "#!/bin/sh\nexec \"$TEST_BINARY\"\n"

func pack(t *testing.T, files ...packed) []byte {
	t.Helper()
	var buf bytes.Buffer
	archive := zip.NewWriter(&buf)
	for _, f := range files {
		header := &zip.FileHeader{Name: f.name, Method: zip.Deflate}
		header.SetMode(f.mode)
		w, err := archive.CreateHeader(header)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(f.text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// creation is of a function that works.
func creation(t *testing.T) *sdk.CreateFunctionInput {
	t.Helper()
	return &sdk.CreateFunctionInput{
		FunctionName: aws.String("mine"), Role: aws.String("arn:aws:iam::123456789012:role/mine"),
		Runtime: types.RuntimeProvidedal2023, Handler: aws.String("bootstrap"), Timeout: aws.Int32(60),
		Code:        &types.FunctionCode{ZipFile: pack(t, packed{"bootstrap", script, 0o755}, packed{"lib/data", "1", 0o644})},
		Environment: &types.Environment{Variables: map[string]string{childVar: "function", "TEST_BINARY": os.Args[0]}},
	}
}

func refusal(t *testing.T, err error) string {
	t.Helper()
	e, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		t.Fatalf("got %v, want a refusal", err)
	}
	return e.ErrorCode() + ": " + e.ErrorMessage()
}

func TestAFunctionIsCreatedChangedAndDeleted(t *testing.T) {
	t.Parallel()
	b := start(t, child("function"))
	client := b.client(t)
	ctx := t.Context()
	in := creation(t)
	out, err := client.CreateFunction(ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(in.Code.ZipFile)
	if want := base64.StdEncoding.EncodeToString(sum[:]); aws.ToString(out.CodeSha256) != want || out.CodeSize != int64(len(in.Code.ZipFile)) {
		t.Errorf("code is %s of %d bytes, want %s of %d", aws.ToString(out.CodeSha256), out.CodeSize, want, len(in.Code.ZipFile))
	}
	if out.State != types.StatePending || out.StateReasonCode != types.StateReasonCodeCreating || out.LastUpdateStatus != "" {
		t.Errorf("state is %s for %s, update %s", out.State, out.StateReasonCode, out.LastUpdateStatus)
	}
	if err := sdk.NewFunctionActiveV2Waiter(client).Wait(ctx, &sdk.GetFunctionInput{FunctionName: in.FunctionName}, time.Minute); err != nil {
		t.Errorf("waiting for it: %v", err)
	}
	echo := func() (string, error) {
		out, err := client.Invoke(ctx, &sdk.InvokeInput{FunctionName: in.FunctionName, Payload: []byte(`{"do":"echo","text":"hi"}`)})
		if err != nil {
			return "", err
		}
		return string(out.Payload) + aws.ToString(out.FunctionError), nil
	}
	if got, err := echo(); err != nil || got != `"hi"` {
		t.Fatalf("invoking: %s, %v", got, err)
	}
	if _, err := client.CreateFunction(ctx, in); refusal(t, err) != "ResourceConflictException: Function already exist: mine" {
		t.Errorf("creating it twice: %v", err)
	}
	if _, err := client.UpdateFunctionConfiguration(ctx, &sdk.UpdateFunctionConfigurationInput{
		FunctionName: in.FunctionName, MemorySize: aws.Int32(256),
	}); err != nil {
		t.Fatal(err)
	}
	exits := pack(t, packed{"bootstrap", "#!/bin/sh\nexit 3\n", 0o755})
	updated, err := client.UpdateFunctionCode(ctx, &sdk.UpdateFunctionCodeInput{FunctionName: in.FunctionName, ZipFile: exits})
	if err != nil {
		t.Fatal(err)
	}
	if updated.LastUpdateStatus != types.LastUpdateStatusInProgress {
		t.Errorf("the update is %s", updated.LastUpdateStatus)
	}
	if aws.ToInt32(updated.MemorySize) != 256 || aws.ToInt32(updated.Timeout) != 60 || aws.ToString(updated.CodeSha256) == aws.ToString(out.CodeSha256) {
		t.Errorf("after both updates: %+v", updated)
	}
	if got, err := echo(); err != nil || !strings.Contains(got, "Runtime.ExitError") {
		t.Errorf("invoking the new code: %s, %v", got, err)
	}
	if _, err := client.DeleteFunction(ctx, &sdk.DeleteFunctionInput{FunctionName: in.FunctionName}); err != nil {
		t.Fatal(err)
	}
	if _, err := echo(); !strings.HasPrefix(refusal(t, err), "ResourceNotFoundException: Function not found:") {
		t.Errorf("invoking a deleted function: %v", err)
	}
}

func TestAFunctionRunsInItsOwnFolder(t *testing.T) {
	t.Parallel()
	b := start(t, child("function"))
	client := b.client(t)
	in := creation(t)
	in.Code.ZipFile = pack(t,
		packed{"bootstrap", "#!/bin/sh\ntest \"$PWD\" = \"$LAMBDA_TASK_ROOT\" && test -f lib/data && exec \"$TEST_BINARY\"\nexit 9\n", 0o755},
		packed{"lib/data", "1", 0o644})
	if _, err := client.CreateFunction(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	out, err := client.Invoke(t.Context(), &sdk.InvokeInput{FunctionName: in.FunctionName, Payload: []byte(`{"do":"echo"}`)})
	if err != nil || out.FunctionError != nil {
		t.Errorf("invoking: %s, %v", out.Payload, err)
	}
}

func TestWhatCannotBeAFunctionIsRefused(t *testing.T) {
	t.Parallel()
	b := start(t, child("function"))
	client := b.client(t)
	program := packed{"bootstrap", script, 0o755}
	tests := map[string]struct {
		change func(in *sdk.CreateFunctionInput)
		want   string
	}{
		"another runtime": {func(in *sdk.CreateFunctionInput) { in.Runtime = types.RuntimePython312 }, "not python3.12"},
		"an image":        {func(in *sdk.CreateFunctionInput) { in.PackageType = types.PackageTypeImage }, "not Image"},
		"code in S3": {func(in *sdk.CreateFunctionInput) {
			in.Code = &types.FunctionCode{S3Bucket: aws.String("b"), S3Key: aws.String("k")}
		}, "it has no S3"},
		"no zip file":                 {func(in *sdk.CreateFunctionInput) { in.Code.ZipFile = []byte("no") }, "Could not unzip uploaded file."},
		"no bootstrap":                {func(in *sdk.CreateFunctionInput) { in.Code.ZipFile = pack(t, packed{"main", "", 0o755}) }, "no executable file bootstrap"},
		"a bootstrap without the bit": {func(in *sdk.CreateFunctionInput) { in.Code.ZipFile = pack(t, packed{"bootstrap", "", 0o644}) }, "no executable file bootstrap"},
		"a file outside":              {func(in *sdk.CreateFunctionInput) { in.Code.ZipFile = pack(t, program, packed{"../canary", "", 0o644}) }, "outside of it"},
		"a link": {func(in *sdk.CreateFunctionInput) {
			in.Code.ZipFile = pack(t, program, packed{"l", "/etc", 0o777 | fs.ModeSymlink})
		}, "unpacks no links"},
		"a file twice":        {func(in *sdk.CreateFunctionInput) { in.Code.ZipFile = pack(t, program, program) }, "unpacking"},
		"a name with a slash": {func(in *sdk.CreateFunctionInput) { in.FunctionName = aws.String("a:b") }, "no such name"},
		"a timeout of a day":  {func(in *sdk.CreateFunctionInput) { in.Timeout = aws.Int32(86400) }, "between 1 and 900"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := creation(t)
			tt.change(in)
			_, err := client.CreateFunction(t.Context(), in)
			if got := refusal(t, err); !strings.HasPrefix(got, "InvalidParameterValueException") || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestReservedConcurrencyOverTheWire(t *testing.T) {
	t.Parallel()
	b := start(t, child("function"))
	client := b.client(t)
	ctx := t.Context()
	echo := func(ctx context.Context) error {
		_, err := client.Invoke(ctx, &sdk.InvokeInput{FunctionName: &b.arn, Payload: []byte(`{"do":"echo"}`)}, func(o *sdk.Options) { o.RetryMaxAttempts = 1 })
		return err
	}
	if _, err := client.PutFunctionConcurrency(ctx, &sdk.PutFunctionConcurrencyInput{FunctionName: &b.arn, ReservedConcurrentExecutions: aws.Int32(0)}); err != nil {
		t.Fatal(err)
	}
	if got := refusal(t, echo(ctx)); got != "TooManyRequestsException: Rate Exceeded." {
		t.Errorf("with none reserved: %s", got)
	}
	out, err := client.GetFunctionConcurrency(ctx, &sdk.GetFunctionConcurrencyInput{FunctionName: &b.arn})
	if err != nil || out.ReservedConcurrentExecutions == nil || *out.ReservedConcurrentExecutions != 0 {
		t.Errorf("reserved: %+v, %v", out, err)
	}
	if _, err := client.DeleteFunctionConcurrency(ctx, &sdk.DeleteFunctionConcurrencyInput{FunctionName: &b.arn}); err != nil {
		t.Fatal(err)
	}
	if err := echo(ctx); err != nil {
		t.Errorf("with no reservation: %v", err)
	}
}

func TestAPermissionIsRemoved(t *testing.T) {
	t.Parallel()
	b := start(t, child("function"))
	client := b.client(t)
	ctx := t.Context()
	const rotation = "secretsmanager.amazonaws.com"
	if _, err := client.AddPermission(ctx, &sdk.AddPermissionInput{
		FunctionName: &b.arn, StatementId: aws.String("rotation"), Action: aws.String("lambda:InvokeFunction"), Principal: aws.String(rotation),
	}); err != nil {
		t.Fatal(err)
	}
	in := &sdk.RemovePermissionInput{FunctionName: &b.arn, StatementId: aws.String("rotation")}
	if _, err := client.RemovePermission(ctx, in); err != nil {
		t.Fatal(err)
	}
	if b.Allows(b.arn, rotation, "") {
		t.Error("the principal may still invoke the function")
	}
	if _, err := client.RemovePermission(ctx, in); !strings.HasPrefix(refusal(t, err), "ResourceNotFoundException") {
		t.Errorf("removing it again: %v", err)
	}
}
