// A local AT Protocol network for tests: the reference PLC directory and reference PDSes, all on loopback.
//
//   node network.mjs [--pds 2] [--legacy-did-documents] [--set NAME=VALUE ...]
//
// --set is any setting of the PDSes, by its name in ServerEnvironment. Prints one line of JSON, the network's
// description, once everything listens, and stops on SIGTERM, on SIGINT, or when standard input closes, so
// that it never outlives whoever started it. Its data go to a temporary folder that it removes.
import fs from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { controlServer } from './control.mjs'
import { ADMIN_PASSWORD, Hosts } from './pds.mjs'
import { startPlc } from './plc.mjs'

const ADDRESS = '127.0.0.1'
const PASSWORD = 'hunter2hunter2'
const STOP_LIMIT_MS = 10_000

const { values: options } = parseArgs({
  options: {
    pds: { type: 'string', default: '1' },
    'legacy-did-documents': { type: 'boolean', default: false },
    set: { type: 'string', multiple: true, default: [] },
  },
})

function setting(text) {
  const [name, value] = text.split(/=(.*)/s)
  if (/^-?\d+$/.test(value)) return [name, Number(value)]
  return [name, value === 'true' ? true : value === 'false' ? false : value]
}

async function freePort() {
  const server = net.createServer()
  await new Promise((done, failed) => server.once('error', failed).listen(0, ADDRESS, done))
  const { port } = server.address()
  await new Promise((done) => server.close(done))
  return port
}

// Nothing leaves this machine: fetch() reaches loopback and the servers that stand in for https hosts.
const standIns = new Map()
const realFetch = globalThis.fetch
globalThis.fetch = async function fetch(input, init) {
  const request = new Request(input, init)
  const url = new URL(request.url)
  const standIn = url.protocol === 'https:' && standIns.get(url.host)
  if (standIn) return realFetch(new Request(standIn + url.pathname + url.search, request))
  if (!['localhost', ADDRESS, '[::1]'].includes(url.hostname)) throw new TypeError(`fetch failed: ${url.host} is not in this network`)
  return realFetch(request)
}

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'local-network-'))
process.on('exit', () => fs.rmSync(folder, { recursive: true, force: true }))

const plc = await startPlc({ port: await freePort(), host: ADDRESS, legacyDocuments: options['legacy-did-documents'] })
const settings = Object.fromEntries(options.set.map(setting))
const hosts = new Hosts({ address: ADDRESS, plcUrl: plc.url, folder, settings })
for (let number = 1; number <= Number(options.pds); number++) await hosts.add(`pds${number}`, await freePort())

async function createAccount(handle) {
  const host = hosts.of(handle)
  if (!host) throw new Error(`no PDS has the domain of ${handle}`)
  const email = `${handle.split('.')[0]}@example.com`
  const response = await fetch(`${host.url}/xrpc/com.atproto.server.createAccount`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ handle, email, password: PASSWORD }),
  })
  const session = await response.json()
  if (!response.ok) throw new Error(`createAccount ${handle}: ${JSON.stringify(session)}`)
  return { handle, did: session.did, email, password: PASSWORD, pds: host.name, accessJwt: session.accessJwt }
}

const controlPort = await freePort()
const describe = () => ({
  control: `http://localhost:${controlPort}`,
  plc: plc.url,
  pds: hosts.all.map(({ name, url, did, environment, server }) => ({
    name,
    url,
    did,
    handleDomain: environment.serviceHandleDomains[0],
    adminPassword: ADMIN_PASSWORD,
    running: !!server,
  })),
})
const control = controlServer({ hosts, standIns, describe, createAccount })
await new Promise((done, failed) => control.once('error', failed).listen(controlPort, ADDRESS, done))

let stopping = false
async function stop() {
  if (stopping) return
  stopping = true
  setTimeout(() => process.exit(1), STOP_LIMIT_MS).unref()
  control.close()
  control.closeAllConnections()
  for (const host of hosts.all) await hosts.stop(host).catch((error) => console.error(error))
  await plc.stop().catch((error) => console.error(error))
  process.exit(0)
}
process.on('SIGTERM', stop)
process.on('SIGINT', stop)
process.stdin.on('end', stop).on('error', stop).resume()

console.log(JSON.stringify(describe()))
