package conformance_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// The records are the snapshots that LocalStack's tests took of AWS
// (tests/aws/services/lambda_/test_lambda_api.snapshot.json). Policies are
// there taken apart: the order of their members is recorded, that AWS writes
// them without spaces is remembered.

func TestLambda(t *testing.T) {
	service{
		name: "lambda", rest: true,
		client:   func(cfg aws.Config) any { return lambda.NewFromConfig(cfg) },
		modelled: func(code string) bool { return code == "ResourceNotFoundException" },
		derive:   deriveFunction,
		cleanUp:  removeFunction,
	}.check(t, lambdaCases(deployment(t)))
}

// deriveFunction sets $function, the ARN of a function $name beside $rotator;
// its $account and $region; and $elsewhere, another Region.
func deriveFunction(v variables) {
	parts := strings.Split(v["rotator"], ":")
	if len(parts) != 7 {
		return
	}
	parts[6] = v["name"]
	v["function"], v["region"], v["account"] = strings.Join(parts, ":"), parts[3], parts[4]
	v["elsewhere"] = "eu-west-1"
	if v["region"] == v["elsewhere"] {
		v["elsewhere"] = "eu-west-3"
	}
}

func removeFunction(ctx context.Context, client any, v variables) error {
	functions, ok := client.(*lambda.Client)
	if !ok {
		return errors.New("no client of Lambda")
	}
	_, err := functions.DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: aws.String(v["name"])})
	if _, absent := errors.AsType[*types.ResourceNotFoundException](err); absent {
		return nil
	}
	return err
}

// deployment is a package for a function that nobody invokes, in base 64.
func deployment(t *testing.T) string {
	t.Helper()
	var packed bytes.Buffer
	archive := zip.NewWriter(&packed)
	header := &zip.FileHeader{Name: "bootstrap"}
	header.SetMode(fs.FileMode(0o755))
	file, err := archive.CreateHeader(header)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Write([]byte("#!/bin/sh\n")); err != nil {
		t.Fatal(err)
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(packed.Bytes())
}

// configured is a function's description with the members that a state has.
func configured(state, memory string) string {
	return `{"Architectures":["$any"],"CodeSha256":"$any","CodeSize":"$time","Description":"","Environment":{"Variables":{}},` +
		`"EphemeralStorage":{"Size":512},"FunctionArn":"$function","FunctionName":"$name","Handler":"bootstrap","LastModified":"$any",` +
		`"LoggingConfig":{"LogFormat":"Text","LogGroup":"/aws/lambda/$name"},"MemorySize":` + memory + `,"PackageType":"Zip","RevisionId":"$any",` +
		`"Role":"$role","Runtime":"provided.al2023","RuntimeVersionConfig":{"RuntimeVersionArn":"$any"},` +
		`"SnapStart":{"ApplyOn":"None","OptimizationStatus":"Off"},"Timeout":5,"TracingConfig":{"Mode":"PassThrough"},"Version":"$LATEST",` +
		state + `}`
}

const (
	pending    = `"State":"Pending","StateReason":"The function is being created.","StateReasonCode":"Creating"`
	active     = `"State":"Active","LastUpdateStatus":"Successful"`
	inProgress = `"State":"Active","LastUpdateStatus":"InProgress","LastUpdateStatusReason":"The function is being created.","LastUpdateStatusReasonCode":"Creating"`
	noFunction = "ResourceNotFoundException: Function not found: $function"
	noResource = "ResourceNotFoundException: The resource you requested does not exist."
)

// text is a JSON text as a string within JSON.
func text(json string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(json) + `"`
}

// statement is one of a policy, with a condition or none.
func statement(sid, condition string) string {
	return `{"Sid":"` + sid + `","Effect":"Allow","Principal":{"Service":"` + sid + `.amazonaws.com"},"Action":"lambda:InvokeFunction","Resource":"$function"` + condition + `}`
}

// fromBucket is a condition that statements have.
const fromBucket = `,"Condition":{"ArnLike":{"AWS:SourceArn":"arn:aws:s3:::rekey-conformance"}}`

func permitted(sid, source, condition string) step {
	return ok("AddPermission", `{"FunctionName":"$name","Action":"lambda:InvokeFunction","StatementId":"`+sid+`","Principal":"`+sid+`.amazonaws.com"`+source+`}`,
		`{"Statement":`+text(statement(sid, condition))+`}`).as(201)
}

func policyIs(statements ...string) step {
	return ok("GetPolicy", `{"FunctionName":"$name"}`,
		`{"Policy":`+text(`{"Version":"2012-10-17","Id":"default","Statement":[`+strings.Join(statements, ",")+`]}`)+`,"RevisionId":"$any"}`)
}

// invoked calls the rotation function with a step that it does nothing in.
func invoked(kind, want string) step {
	event := base64.StdEncoding.EncodeToString([]byte(`{"Step":"setSecret"}`))
	return ok("Invoke", `{"FunctionName":"$rotator","InvocationType":"`+kind+`","Payload":"`+event+`"}`, want)
}

func lambdaCases(zip string) map[string]belief {
	made := ok("CreateFunction", `{"FunctionName":"$name","Role":"$role","Runtime":"provided.al2023","Handler":"bootstrap","Timeout":5,"MemorySize":256,`+
		`"Environment":{"Variables":{}},"Code":{"ZipFile":"`+zip+`"}}`, configured(pending, "256")).as(201)
	isActive := ok("GetFunctionConfiguration", `{"FunctionName":"$name"}`, configured(active, "256")).patiently()
	gone := func(call string) step { return refused(call, `{"FunctionName":"$function"}`, noFunction).as(404) }
	removed := func(sid string) step {
		return ok("RemovePermission", `{"FunctionName":"$name","StatementId":"`+sid+`"}`, "").as(204)
	}
	return map[string]belief{
		"a function from making to deleting": {recorded, "test_function_lifecycle", []step{
			made, isActive,
			ok("UpdateFunctionConfiguration", `{"FunctionName":"$name","MemorySize":512}`, configured(inProgress, "512")),
			ok("GetFunctionConfiguration", `{"FunctionName":"$name"}`, configured(active, "512")).patiently(),
			ok("DeleteFunction", `{"FunctionName":"$name"}`, "").as(204),
			gone("DeleteFunction"),
		}},
		"a function that there is already": {remembered, "", []step{
			made, isActive,
			refused("CreateFunction", `{"FunctionName":"$name","Role":"$role","Runtime":"provided.al2023","Handler":"bootstrap","Code":{"ZipFile":"`+zip+`"}}`,
				"ResourceConflictException: Function already exist: $name").as(409),
		}},
		"a function that there is not": {recorded, "test_ops_on_nonexisting_fn, test_delete_on_nonexisting_version", []step{
			gone("DeleteFunction"), gone("GetFunction"), gone("GetFunctionConfiguration"), gone("GetFunctionConcurrency"),
		}},
		"a function that there is not is not invoked": {remembered, "the text; LocalStack test_invoke_exceptions has the error", []step{
			gone("Invoke"),
		}},
		"a function of another Region": {recorded, "test_get_function_wrong_region", []step{
			elsewhere("GetFunction"), elsewhere("GetFunctionConfiguration"), elsewhere("GetFunctionConcurrency"), elsewhere("DeleteFunction"), elsewhere("Invoke"),
		}},
		"a permission for a source": {recorded, "test_add_lambda_permission_aws", []step{
			made, isActive,
			permitted("s3", `,"SourceArn":"arn:aws:s3:::rekey-conformance"`, fromBucket),
			policyIs(statement("s3", fromBucket)),
		}},
		"permissions are added and removed": {recorded, "test_remove_multi_permissions", []step{
			made, isActive,
			permitted("s3", "", ""),
			permitted("sqs", `,"SourceArn":"arn:aws:s3:::rekey-conformance"`, fromBucket),
			policyIs(statement("s3", ""), statement("sqs", fromBucket)),
			refused("RemovePermission", `{"FunctionName":"$name","StatementId":"non-existent"}`,
				"ResourceNotFoundException: Statement non-existent is not found in resource policy.").as(404),
			removed("sqs"),
			policyIs(statement("s3", "")),
			removed("s3"),
			refused("GetPolicy", `{"FunctionName":"$name"}`, noResource).as(404),
		}},
		"a statement that there is already": {remembered, "", []step{
			made, isActive,
			permitted("s3", "", ""),
			refused("AddPermission", `{"FunctionName":"$name","Action":"lambda:InvokeFunction","StatementId":"s3","Principal":"s3.amazonaws.com"}`,
				"ResourceConflictException: The statement id (s3) provided already exists. Please provide a new statement id, or remove the existing statement.").as(409),
		}},
		"reserved concurrency is put and deleted": {recorded, "test_function_concurrency", []step{
			made, isActive,
			ok("PutFunctionConcurrency", `{"FunctionName":"$name","ReservedConcurrentExecutions":0}`, `{"ReservedConcurrentExecutions":0}`),
			ok("PutFunctionConcurrency", `{"FunctionName":"$name","ReservedConcurrentExecutions":1}`, `{"ReservedConcurrentExecutions":1}`),
			ok("GetFunctionConcurrency", `{"FunctionName":"$name"}`, `{"ReservedConcurrentExecutions":1}`),
			ok("DeleteFunctionConcurrency", `{"FunctionName":"$name"}`, "").as(204),
			ok("GetFunctionConcurrency", `{"FunctionName":"$name"}`, `{}`),
		}},
		"an invocation is answered": {documented, "Lambda API reference, Invoke", []step{
			invoked("RequestResponse", "null").under(map[string]string{"X-Amz-Executed-Version": "$LATEST", "X-Amzn-Requestid": "$any", "X-Amz-Function-Error": ""}),
		}},
		"an invocation for later, and for nothing": {documented, "Lambda API reference, Invoke", []step{
			invoked("Event", "").as(202), invoked("DryRun", "").as(204),
		}},
		"an invocation that fails": {documented, "Lambda developer guide, function errors", []step{
			ok("Invoke", `{"FunctionName":"$rotator","Payload":"`+base64.StdEncoding.EncodeToString([]byte(`{"Step":1}`))+`"}`,
				`{"errorMessage":"$any","errorType":"$any"}`).under(map[string]string{"X-Amz-Function-Error": "Unhandled"}),
		}},
	}
}

// elsewhere calls for a function of another Region.
func elsewhere(call string) step {
	return refused(call, `{"FunctionName":"arn:aws:lambda:$elsewhere:$account:function:$name"}`,
		"ResourceNotFoundException: Functions from '$elsewhere' are not reachable in this region ('$region')").as(404)
}
