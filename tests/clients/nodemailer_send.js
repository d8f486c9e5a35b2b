// Sends mails with nodemailer. Reads `{ transport, mails }` as JSON from standard input and writes one
// line of JSON for each mail, in order: `{ response }`, or `{ error }` with the server's answer.
"use strict";

const nodemailer = require("nodemailer");
const { transport, mails } = JSON.parse(require("node:fs").readFileSync(0, "utf8"));

async function main() {
  const sender = nodemailer.createTransport(transport);
  const results = await Promise.allSettled(mails.map((mail) => sender.sendMail(mail)));
  sender.close();
  for (const { value, reason } of results) {
    const line = value ? { response: value.response } : { error: reason.response ?? String(reason) };
    console.log(JSON.stringify(line));
  }
}

main();
