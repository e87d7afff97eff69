// Package s3 is Amazon S3 on the engine: buckets with objects, which a
// deployment puts its packages in and CloudFormation takes them from.
//
// The objects are gofakes3's, in memory: put, get with ranges, copy, list,
// delete, multipart uploads and versions. What a bucket has beside objects -
// encryption, the public access block, the lifecycle, ownership, tags - is kept
// as the document that was put, answered with the same, and without effect:
// nothing expires, and nobody but the engine's callers is there to be kept out.
// A bucket's policy is kept so as well, and who may do what is judged by it and
// by the caller's own policies, by the actions that IAM has for each request.
//
// Requests come with the bucket in the path, as SDKs send them to an address
// that is an IP, and as [Service.Wire] takes them.
//
// With a state folder, buckets with their documents and the newest version of
// each object are kept there, encrypted. Older versions and uploads of which
// parts are missing end with the process.
package s3
