// Peer: the obvious function in Node, with Google's framework and client.
const crypto = require("node:crypto");
const functions = require("@google-cloud/functions-framework");
const { PubSub } = require("@google-cloud/pubsub");

const secret = process.env.FLOOR_SECRET;
const [, project, , topicName] = process.env.FLOOR_TOPIC.split("/");
const topic = new PubSub({ projectId: project }).topic(topicName, { messageOrdering: true });

functions.http("floor", async (request, response) => {
  const digest = crypto.createHmac("sha1", secret).update(request.rawBody).digest();
  const given = Buffer.from(request.get("x-hmac") || "", "hex");
  if (given.length !== digest.length || !crypto.timingSafeEqual(given, digest)) {
    response.status(401).json({ error: "signature" });
    return;
  }
  const groups = new Map();
  for (const mutation of request.body.Mutations) {
    if (!groups.has(mutation.Audience)) groups.set(mutation.Audience, []);
    groups.get(mutation.Audience).push(mutation);
  }
  const publishes = [];
  for (const [audience, mutations] of groups) {
    publishes.push(topic.publishMessage({ json: mutations, orderingKey: audience }));
  }
  await Promise.all(publishes);
  response.json({ accepted: 1 });
});
