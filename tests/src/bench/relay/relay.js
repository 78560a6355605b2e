// The same work in Node.js with `ws`: agents and one backend by the path they ask for, `from` set by the relay, text by text.
'use strict';
const fs = require('fs');
const https = require('https');
const { WebSocketServer } = require('ws');

const [port, cert, key, heartbeatMs] = process.argv.slice(2);
const server = https.createServer({ cert: fs.readFileSync(cert), key: fs.readFileSync(key), minVersion: 'TLSv1.3' });
const wss = new WebSocketServer({ server, perMessageDeflate: false, maxPayload: 1 << 20, clientTracking: true });
const peers = new Map();

wss.on('connection', (socket, request) => {
  const name = request.url.slice(1);
  const old = peers.get(name);
  peers.set(name, socket);
  if (old) old.terminate();
  socket.isAlive = true;
  socket.on('pong', () => { socket.isAlive = true; });
  socket.on('error', () => {});
  socket.on('close', () => { if (peers.get(name) === socket) peers.delete(name); });
  socket.on('message', (data) => {
    const message = JSON.parse(data);
    message.from = name;
    const to = peers.get(message.to);
    if (to) to.send(JSON.stringify(message));
  });
});

// Heartbeats as the manual of `ws` has them.
setInterval(() => {
  for (const socket of wss.clients) {
    if (!socket.isAlive) { socket.terminate(); continue; }
    socket.isAlive = false;
    socket.ping();
  }
}, Number(heartbeatMs));

process.on('SIGTERM', () => process.exit(0));
server.listen({ port: Number(port), host: '127.0.0.1', backlog: 4096 });
