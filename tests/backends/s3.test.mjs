// S3 as moto's server (PyPI) speaks it. moto looks at If-None-Match and at CORS rules, but not at signatures; to a POST policy's upload
// it answers without the XML of S3, so that `s3-post` is not proven here.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { freePort, prove, python, run, told } from "./driver.mjs";

/** A script with boto3, Amazon's own client, as `s3`; gives what it prints as JSON. */
function boto(url, script) {
  const head = `import boto3, json
s3 = boto3.client("s3", endpoint_url="${url}", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")\n`;
  return JSON.parse(execFileSync(python("python", "datasette-moto"), ["-c", head + script]).toString());
}
const BUCKET = `s3.create_bucket(Bucket="pets")
s3.put_bucket_cors(Bucket="pets", CORSConfiguration={"CORSRules": [{"AllowedOrigins": ["*"], "AllowedMethods": ["PUT"], "AllowedHeaders": ["*"]}]})
`;
const LIST = `out = []
for page in s3.get_paginator("list_objects_v2").paginate(Bucket="pets", Prefix="labels/"):
    for entry in page.get("Contents", []):
        out.append([entry["Key"], s3.get_object(Bucket="pets", Key=entry["Key"])["Body"].read().decode()])
print(json.dumps(out))`;

async function moto() {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  await run(python("moto_server", "datasette-moto"), ["-H", "127.0.0.1", "-p", String(port)], { url });
  return {
    url,
    has: async () => boto(url, LIST).map(([key, text]) => {
      assert.equal(key, `labels/${JSON.parse(text).id}.json`);
      return told(JSON.parse(text));
    }),
  };
}

prove("s3-presigned", async () => {
  const server = await moto();
  boto(server.url, `${BUCKET}print("null")`);
  return {
    ...server,
    params: (url) => ({ url: `${url}/pets/labels` }),
    // The query is what a gateway would sign; the test signs one of S3's own form.
    token: boto(server.url, `print(json.dumps(s3.generate_presigned_url("put_object", Params={"Bucket": "pets", "Key": "labels/", "IfNoneMatch": "*"}).split("?")[1]))`),
    again: [412, /PreconditionFailed/],
  };
});
