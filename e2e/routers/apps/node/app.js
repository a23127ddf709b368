// Sites that route by themselves on Node's own server: by its URL class, and by
// the older url.parse.
'use strict';

const http = require('http');
const url = require('url');
const { ran, open, listening } = require('../site');

const pathOf = {
  'node-url': (target) => new URL(target, 'http://localhost').pathname,
  'node-url-parse': (target) => url.parse(target).pathname || '/',
};

// routed is the sensitive handler of a path and a method, if they have one.
function routed(path, method) {
  const clean = path.toLowerCase().replace(/\/+$/, '');
  if (clean === '/wallet/withdraw' && method === 'POST') return 'withdraw';
  if (clean === '/account/export' && (method === 'GET' || method === 'HEAD')) return 'export';
  if (clean === '/account/phone' && method === 'PUT') return 'phone';
  if (/^\/api\/users\/[^/]+\/transfer$/.test(clean) && method === 'POST') return 'transfer';
  return '';
}

for (const [variant, path] of Object.entries(pathOf)) {
  const server = http.createServer((req, res) => {
    let handler = '';
    try {
      handler = routed(decodeURIComponent(path(req.url)), req.method);
    } catch {
      // A target that is none leads nowhere.
    }
    res.setHeader('Content-Type', 'text/plain');
    res.end(handler ? ran(handler, req.headers) : open(req.url));
  });
  server.listen(0, '127.0.0.1', () => listening(variant, server));
}
