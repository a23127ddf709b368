// Fastify as it comes, and with all that makes its router lenient.
'use strict';

const fastify = require('fastify');
const formbody = require('@fastify/formbody');
const { ran, open, listening } = require('../site');

const lenient = {
  ignoreTrailingSlash: true,
  ignoreDuplicateSlashes: true,
  caseSensitive: false,
  useSemicolonDelimiter: true,
  allowUnsafeRegex: true,
};

function site(routerOptions) {
  const app = fastify({ routerOptions });
  app.register(formbody);
  app.addContentTypeParser('*', { parseAs: 'string' }, (req, body, done) => done(null, body));
  app.register(async (wallet) => {
    wallet.post('/withdraw', async (req) => ran('withdraw', req.headers));
  }, { prefix: '/wallet' });
  app.get('/account/export', async (req) => ran('export', req.headers));
  app.put('/account/phone', async (req) => ran('phone', req.headers));
  app.post('/api/users/:id/transfer', async (req) => ran('transfer', req.headers));
  app.setNotFoundHandler(async (req, reply) => reply.code(200).send(open(req.raw.url)));
  return app;
}

for (const [variant, options] of [['fastify', {}], ['fastify-lenient', lenient]]) {
  const app = site(options);
  app.listen({ port: 0, host: '127.0.0.1' }).then(() => listening(variant, app.server));
}
