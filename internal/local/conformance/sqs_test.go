package conformance_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// The records are the snapshots that LocalStack's tests took of AWS
// (tests/aws/services/sqs), those of the JSON protocol.

func TestSQS(t *testing.T) {
	service{
		name: "sqs", target: "AmazonSQS",
		client:   func(cfg aws.Config) any { return sqs.NewFromConfig(cfg) },
		modelled: func(string) bool { return false },
		derive:   func(variables) {},
		cleanUp:  removeQueue,
	}.check(t, queueCases())
}

func removeQueue(ctx context.Context, client any, v variables) error {
	queues, ok := client.(*sqs.Client)
	if !ok {
		return errors.New("no client of SQS")
	}
	found, err := queues.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: aws.String(v["name"])})
	if _, absent := errors.AsType[*types.QueueDoesNotExist](err); absent {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = queues.DeleteQueue(ctx, &sqs.DeleteQueueInput{QueueUrl: found.QueueUrl})
	return err
}

func queueMade(attributes string) step {
	return ok("CreateQueue", `{"QueueName":"$name","Attributes":{`+attributes+`}}`, `{"QueueUrl":"$url"}`)
}

// query is a refusal with the code that it has in the older protocol.
func query(s step, code string) step {
	return s.under(map[string]string{"X-Amzn-Query-Error": code + ";Sender"})
}

func invalidValue(call, in, text string) step {
	return query(refused(call, in, "com.amazonaws.sqs#InvalidParameterValueException: "+text), "InvalidParameterValue")
}

const (
	received  = `{"Messages":[{"Body":"msg","MD5OfBody":"6e2baaf3b97dbeef01c0043275f9a0e7","MessageId":"$id","ReceiptHandle":"$any"`
	sentPlain = `{"MD5OfMessageBody":"6e2baaf3b97dbeef01c0043275f9a0e7","MessageId":"$id"}`
)

func sent() step {
	return ok("SendMessage", `{"QueueUrl":"$url","MessageBody":"msg"}`, sentPlain)
}

func queueCases() map[string]belief {
	const (
		sse     = `"AttributeNames":["KmsMasterKeyId","KmsDataKeyReusePeriodSeconds","SqsManagedSseEnabled"]`
		kenobi  = `{"Hello":{"DataType":"String","StringValue":"There"},"General":{"DataType":"String","StringValue":"Kenobi"},"Help.Me":{"DataType":"String","StringValue":"Me"}}`
		noQueue = "com.amazonaws.sqs#QueueDoesNotExist: The specified queue does not exist."
	)
	return map[string]belief{
		"a queue that is made again": {recorded, "LocalStack test_create_queue_with_different_attributes_raises_exception", []step{
			queueMade(`"DelaySeconds":"0"`),
			queueMade(``), queueMade(`"DelaySeconds":"0"`),
			query(refused("CreateQueue", `{"QueueName":"$name","Attributes":{"DelaySeconds":"1"}}`,
				"com.amazonaws.sqs#QueueNameExists: A queue already exists with the same name and a different value for attribute DelaySeconds"), "QueueAlreadyExists"),
		}},
		"a queue that there is not": {recorded, "LocalStack test_non_existent_queue", []step{
			query(refused("GetQueueUrl", `{"QueueName":"$name"}`, noQueue), "AWS.SimpleQueueService.NonExistentQueue"),
		}},
		"a message's attributes by their names": {recorded, "LocalStack test_receive_message_message_attribute_names_filters", []step{
			queueMade(`"VisibilityTimeout":"0"`),
			ok("SendMessage", `{"QueueUrl":"$url","MessageBody":"msg","MessageAttributes":`+kenobi+`}`,
				`{"MD5OfMessageAttributes":"4c360f3fdafd970e05fae2f149d997f5","MD5OfMessageBody":"6e2baaf3b97dbeef01c0043275f9a0e7","MessageId":"$id"}`),
			ok("ReceiveMessage", `{"QueueUrl":"$url","WaitTimeSeconds":5}`, received+`}]}`),
			ok("ReceiveMessage", `{"QueueUrl":"$url","WaitTimeSeconds":5,"MessageAttributeNames":["All"]}`,
				received+`,"MD5OfMessageAttributes":"4c360f3fdafd970e05fae2f149d997f5","MessageAttributes":`+kenobi+`}]}`),
			ok("ReceiveMessage", `{"QueueUrl":"$url","WaitTimeSeconds":5,"MessageAttributeNames":["Hello","Foo"]}`,
				received+`,"MD5OfMessageAttributes":"a311262e065454b75da111d535b8dacd","MessageAttributes":{"Hello":{"DataType":"String","StringValue":"There"}}}]}`),
			ok("ReceiveMessage", `{"QueueUrl":"$url","WaitTimeSeconds":5,"MessageAttributeNames":["Hel.*"]}`,
				received+`,"MD5OfMessageAttributes":"83fee93c1bcd8b9a5a923ffacdc636c7","MessageAttributes":{"Hello":{"DataType":"String","StringValue":"There"},"Help.Me":{"DataType":"String","StringValue":"Me"}}}]}`),
		}},
		"a message's system attributes": {recorded, "LocalStack test_receive_message_attribute_names_filters", []step{
			queueMade(``), sent(),
			ok("ReceiveMessage", `{"QueueUrl":"$url","WaitTimeSeconds":5,"MessageSystemAttributeNames":["All"]}`,
				received+`,"Attributes":{"ApproximateFirstReceiveTimestamp":"$any","ApproximateReceiveCount":"1","SenderId":"$any","SentTimestamp":"$any"}}]}`),
		}},
		"encryption is of one kind": {recorded, "LocalStack test_sse_queue_attributes, test_sse_kms_and_sqs_are_mutually_exclusive", []step{
			queueMade(`"KmsMasterKeyId":"testKeyId","KmsDataKeyReusePeriodSeconds":"6000","SqsManagedSseEnabled":"false"`),
			ok("GetQueueAttributes", `{"QueueUrl":"$url",`+sse+`}`, `{"Attributes":{"KmsDataKeyReusePeriodSeconds":"6000","KmsMasterKeyId":"testKeyId","SqsManagedSseEnabled":"false"}}`),
			query(refused("SetQueueAttributes", `{"QueueUrl":"$url","Attributes":{"KmsMasterKeyId":"testKeyId","SqsManagedSseEnabled":"true"}}`,
				"com.amazonaws.sqs#InvalidAttributeName: You can use one type of server-side encryption (SSE) at one time. You can either enable KMS SSE or SQS SSE."), "InvalidAttributeName"),
		}},
		"a dead letter queue that is no ARN": {recorded, "LocalStack test_invalid_dead_letter_arn_rejected_before_lookup", []step{
			invalidValue("CreateQueue", `{"QueueName":"$name","Attributes":{"RedrivePolicy":"{\"deadLetterTargetArn\": \"dummy\", \"maxReceiveCount\": 42}"}}`,
				`Value {"deadLetterTargetArn": "dummy", "maxReceiveCount": 42} for parameter RedrivePolicy is invalid. Reason: Invalid value for deadLetterTargetArn.`),
		}},
		"too many messages to receive": {recorded, "LocalStack test_send_receive_max_number_of_messages", []step{
			queueMade(``),
			invalidValue("ReceiveMessage", `{"QueueUrl":"$url","MaxNumberOfMessages":11}`, "Value 11 for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided."),
		}},
		"a message above the queue's limit": {recorded, "LocalStack test_send_message_with_updated_maximum_message_size", []step{
			queueMade(`"MaximumMessageSize":"1024"`),
			invalidValue("SendMessage", `{"QueueUrl":"$url","MessageBody":"`+strings.Repeat("x", 1025)+`"}`, "One or more parameters are invalid. Reason: Message must be shorter than 1024 bytes."),
		}},
		"an attribute without a value": {recorded, "LocalStack test_send_message_with_empty_string_attribute", []step{
			queueMade(``),
			invalidValue("SendMessage", `{"QueueUrl":"$url","MessageBody":"x","MessageAttributes":{"ErrorDetails":{"DataType":"String","StringValue":""}}}`,
				"Message (user) attribute 'ErrorDetails' must contain a non-empty value of type 'String'."),
		}},
		"another kind of queue": {recorded, "LocalStack test_set_unsupported_attribute_fifo", []step{
			queueMade(``),
			query(refused("SetQueueAttributes", `{"QueueUrl":"$url","Attributes":{"FifoQueue":"true"}}`, "com.amazonaws.sqs#InvalidAttributeName: Unknown Attribute FifoQueue."), "InvalidAttributeName"),
		}},
		"batches that are refused": {recorded, "LocalStack test_invalid_batch_id, test_too_many_entries_in_batch_request", []step{
			queueMade(``),
			query(refused("DeleteMessageBatch", `{"QueueUrl":"$url","Entries":[{"Id":"invalid:id","ReceiptHandle":"x"}]}`,
				"com.amazonaws.sqs#InvalidBatchEntryId: A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long."), "AWS.SimpleQueueService.InvalidBatchEntryId"),
			query(refused("SendMessageBatch", `{"QueueUrl":"$url","Entries":[`+strings.TrimSuffix(strings.Repeat(`{"Id":"a","MessageBody":"x"},`, 11), ",")+`]}`,
				"com.amazonaws.sqs#TooManyEntriesInBatchRequest: Maximum number of entries per request are 10. You have sent 11."), "AWS.SimpleQueueService.TooManyEntriesInBatchRequest"),
		}},
		"a batch": {recorded, "LocalStack test_send_message_batch_with_oversized_contents_with_updated_maximum_message_size", []step{
			queueMade(``),
			ok("SendMessageBatch", `{"QueueUrl":"$url","Entries":[{"Id":"1","MessageBody":"a"}]}`,
				`{"Failed":[],"Successful":[{"Id":"1","MD5OfMessageBody":"0cc175b9c0f1b6a831c399e269772661","MessageId":"$any"}]}`),
		}},
		"tags": {recorded, "LocalStack test_tag_untag_queue", []step{
			queueMade(``),
			ok("TagQueue", `{"QueueUrl":"$url","Tags":{"tag1":"value1","tag2":"value2","tag3":""}}`, emptyAnswer),
			ok("ListQueueTags", `{"QueueUrl":"$url"}`, `{"Tags":{"tag1":"value1","tag2":"value2","tag3":""}}`),
			ok("UntagQueue", `{"QueueUrl":"$url","TagKeys":["tag1","tag3"]}`, emptyAnswer),
			ok("ListQueueTags", `{"QueueUrl":"$url"}`, `{"Tags":{"tag2":"value2"}}`),
		}},
	}
}
