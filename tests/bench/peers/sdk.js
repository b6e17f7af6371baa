// SPDX-License-Identifier: Apache-2.0
// Oracle's TypeScript SDK on one task of the benchmarks, 32 requests at a time.
//
// sdk.js put-4k DIR BUCKET PREFIX | get-4k DIR BUCKET COUNT | list BUCKET
const common = require("oci-common"), storage = require("oci-objectstorage");
const fs = require("fs"), path = require("path"), { Readable } = require("stream");
const { pipeline } = require("stream/promises");
const E = process.env, namespaceName = "bench", AT_ONCE = 32;
const [task, ...args] = process.argv.slice(2);

const authenticationDetailsProvider =
  new common.ConfigFileAuthenticationDetailsProvider(E.PEER_CONFIG, "DEFAULT");
const client = new storage.ObjectStorageClient({ authenticationDetailsProvider });
client.endpoint = E.PEER_ENDPOINT;

async function each(items, one) {
  let next = 0;
  const worker = async () => { while (next < items.length) await one(items[next++]); };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

const tasks = {
  "put-4k": (dir, bucketName, prefix) => each(fs.readdirSync(dir), async name => {
    const body = await fs.promises.readFile(path.join(dir, name));
    await client.putObject({ namespaceName, bucketName, objectName: prefix + "/" + name,
                             contentLength: body.length, putObjectBody: body });
  }),
  "get-4k": (dir, bucketName, count) => each([...Array(+count).keys()], async i => {
    const objectName = "f" + String(i).padStart(7, "0");
    const { value } = await client.getObject({ namespaceName, bucketName, objectName });
    await pipeline(value.getReader ? Readable.fromWeb(value) : value,
                   fs.createWriteStream(path.join(dir, objectName)));
  }),
  list: async bucketName => {
    for (let start; ;) {
      const page = (await client.listObjects({ namespaceName, bucketName, fields: "name,size",
                                               limit: 1000, start })).listObjects;
      process.stdout.write(page.objects.map(o => o.size + " " + o.name + "\n").join(""));
      start = page.nextStartWith;
      if (!start) return;
    }
  },
};
tasks[task](...args).then(() => process.exit(0), e => { console.error(e); process.exit(1); });
