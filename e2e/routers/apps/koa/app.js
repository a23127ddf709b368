// Koa with its router, and with a method override as its tutorials write one.
'use strict';

const Koa = require('koa');
const Router = require('@koa/router');
const bodyParser = require('koa-bodyparser');
const { ran, open, listening } = require('../site');

function site({ overrides }) {
  const app = new Koa();
  app.silent = true;
  app.use(bodyParser());
  if (overrides) {
    app.use((ctx, next) => {
      const body = ctx.request.body || {};
      const method = ctx.get('X-HTTP-Method-Override') || ctx.query._method || body._method;
      if (method) {
        ctx.method = String(method).toUpperCase();
      }
      return next();
    });
  }

  const wallet = new Router({ prefix: '/wallet' });
  wallet.post('/withdraw', (ctx) => { ctx.body = ran('withdraw', ctx.headers); });
  const router = new Router();
  router.get('/account/export', (ctx) => { ctx.body = ran('export', ctx.headers); });
  router.put('/account/phone', (ctx) => { ctx.body = ran('phone', ctx.headers); });
  router.post('/api/users/:id/transfer', (ctx) => { ctx.body = ran('transfer', ctx.headers); });
  app.use(wallet.routes()).use(router.routes());
  app.use((ctx) => { ctx.body = open(ctx.originalUrl); });
  return app;
}

for (const overrides of [false, true]) {
  const server = site({ overrides }).listen(0, '127.0.0.1', () => listening(overrides ? 'koa-override' : 'koa', server));
}
