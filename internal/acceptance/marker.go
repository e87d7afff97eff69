package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// nowhere checks that no file below a folder has a text, also not a compressed
// one, and that there are at least so many files.
func nowhere(text, dir string, least int) error {
	files := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		files++
		data, err := os.ReadFile(path) //nolint:gosec // files of ours.
		if err != nil {
			return err
		}
		if bytes.Contains(data, []byte(text)) || bytes.Contains(unpacked(data), []byte(text)) {
			return fmt.Errorf("%s has a text that is to be nowhere", path)
		}
		return nil
	})
	if err == nil && files < least {
		return fmt.Errorf("there are only %d files in %s", files, dir)
	}
	return err
}

// unpacked is the content of a file that gzip has packed, and of another nothing.
func unpacked(data []byte) []byte {
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil
	}
	all, _ := io.ReadAll(r) // what there is of it
	return all
}

// listen has all events about secrets put into a queue. What it returns takes
// them out until they are what is waited for.
func (s *system) listen() (heard func(enough func(messages string) error) output) {
	const (
		queue  = "arn:aws:sqs:us-east-1:123456789012:all-events"
		policy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"sqs:SendMessage","Resource":"*"}]}`
	)
	made := []output{s.aws("sqs", "AmazonSQS.CreateQueue", `{"QueueName":"all-events","Attributes":{"Policy":`+marshal(policy)+`}}`)}
	for _, bus := range []string{"default", "dev-rekey"} {
		made = append(made,
			s.aws("events", "AWSEvents.PutRule", `{"EventBusName":"`+bus+`","Name":"all","EventPattern":"{\"source\":[\"rekey\",\"aws.secretsmanager\"]}"}`),
			s.aws("events", "AWSEvents.PutTargets", `{"EventBusName":"`+bus+`","Rule":"all","Targets":[{"Id":"all","Arn":"`+queue+`"}]}`),
		)
	}
	return func(enough func(messages string) error) (all output) {
		for _, o := range made {
			if err := o.answer().like(200, ""); err != nil {
				return output{fault: err}
			}
		}
		all.fault = s.until(func() error {
			more := s.drain("all-events")
			all.out += more.out
			return errors.Join(more.fault, enough(all.out))
		})
		return all
	}
}

// drain takes all messages out of a queue.
func (s *system) drain(queue string) output {
	all := output{}
	for {
		batch := s.aws("sqs", "AmazonSQS.ReceiveMessage", `{"QueueUrl":"`+s.Ready.AWS+`/123456789012/`+queue+`","MaxNumberOfMessages":10}`)
		if batch.fault != nil || !strings.Contains(batch.out, "MessageId") {
			all.fault = batch.fault
			return all
		}
		all.out += batch.out
	}
}
