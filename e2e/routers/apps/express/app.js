// Express 4 and 5, with default routing, and with the method overrides that its
// documentation and its tutorials show.
'use strict';

const methodOverride = require('method-override');
const multer = require('multer');
const { ran, open, listening } = require('../site');

function site(express, { overrides }) {
  const app = express();
  app.use(express.urlencoded({ extended: true }));
  app.use(express.json());
  app.use(multer().none());
  if (overrides) {
    for (const header of ['X-HTTP-Method-Override', 'X-HTTP-Method', 'X-Method-Override']) {
      app.use(methodOverride(header, { methods: null }));
    }
    app.use(methodOverride('_method', { methods: null }));
    app.use(methodOverride((req) => {
      if (req.body && typeof req.body === 'object' && '_method' in req.body) {
        const method = req.body._method;
        delete req.body._method;
        return method;
      }
    }));
  }

  const wallet = express.Router();
  wallet.post('/withdraw', (req, res) => res.send(ran('withdraw', req.headers)));
  app.use('/wallet', wallet);
  app.get('/account/export', (req, res) => res.send(ran('export', req.headers)));
  app.put('/account/phone', (req, res) => res.send(ran('phone', req.headers)));
  app.post('/api/users/:id/transfer', (req, res) => res.send(ran('transfer', req.headers)));
  app.use((req, res) => res.type('text').send(open(req.originalUrl)));
  app.use((err, req, res, next) => res.status(400).type('text').send(open('error')));
  return app;
}

for (const name of ['express4', 'express5']) {
  const express = require(name);
  for (const overrides of [false, true]) {
    const variant = overrides ? `${name}-override` : name;
    const server = site(express, { overrides }).listen(0, '127.0.0.1', () => listening(variant, server));
  }
}
