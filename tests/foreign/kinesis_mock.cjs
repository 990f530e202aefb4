// Serves kinesis-mock (npm install kinesis-local beside this file) on a free port of 127.0.0.1 and prints
// KINESIS_MOCK_URL=... once it listens. By itself it would listen on every address of the machine.

const net = require('node:net')
const path = require('node:path')

// Stands for a free port.
const PLAIN = 1
const TLS = 2

const main = require.resolve('kinesis-local/main.js')
// It finds its certificate beside itself.
process.chdir(path.dirname(main))
Object.assign(process.env, {
  KINESIS_MOCK_PLAIN_PORT: String(PLAIN),
  KINESIS_MOCK_TLS_PORT: String(TLS),
  SHARD_LIMIT: '1000',
  LOG_LEVEL: 'ERROR'
})
for (const change of ['CREATE_STREAM', 'DELETE_STREAM', 'MERGE_SHARDS', 'SPLIT_SHARD', 'UPDATE_SHARD_COUNT']) {
  process.env[`${change}_DURATION`] = '5ms'
}

const listen = net.Server.prototype.listen
net.Server.prototype.listen = function (...given) {
  const wanted = given[0]?.port ?? given[0]
  if (Number(wanted) === PLAIN) {
    this.once('listening', () => console.log(`KINESIS_MOCK_URL=http://127.0.0.1:${this.address().port}`))
  }
  const listening = given.find((value) => typeof value === 'function')
  return listen.call(this, { host: '127.0.0.1', port: 0 }, listening)
}

require(main)
