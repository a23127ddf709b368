// What the sites of Node have in common: how a handler says that it ran, and how
// a server says where it listens.
'use strict';

const fs = require('fs');

// ran notes that a sensitive handler ran, and for which request.
function ran(handler, headers) {
  fs.appendFileSync(process.env.RUNS, `${handler} ${headers.spelling || '-'}\n`);
  return `ran ${handler}\n`;
}

// open is what everything else answers: that it is open, and the target as the
// router has it.
function open(target) {
  return `open ${target}\n`;
}

// listening tells whoever started us where a variant listens.
function listening(variant, server) {
  console.log(`listening ${variant} 127.0.0.1:${server.address().port}`);
}

module.exports = { ran, open, listening };
