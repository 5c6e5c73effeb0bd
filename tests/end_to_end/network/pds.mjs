// Reference PDSes on loopback that reach nothing beyond this network: handles resolve within it, and
// mail is kept instead of sent.
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import http from 'node:http'
import path from 'node:path'
import { PDS } from '@atproto/pds'

export const ADMIN_PASSWORD = 'admin-pass'
const secret = (name) => createHash('sha256').update(`local-network:${name}`).digest('hex')

export class Hosts {
  constructor({ address, plcUrl, folder, settings }) {
    Object.assign(this, { address, plcUrl, folder, settings })
    this.all = []
    this.mail = []
    this.ownDomains = new Map() // handles outside the PDSes' domains, in place of DNS
  }

  async add(name, port) {
    const data = path.join(this.folder, name)
    fs.mkdirSync(data, { recursive: true })
    const url = `http://localhost:${port}`
    const did = `did:web:localhost%3A${port}`
    const environment = {
      devMode: true,
      port,
      hostname: 'localhost',
      serviceDid: did,
      serviceName: name,
      dataDirectory: data,
      blobstoreDiskLocation: path.join(data, 'blobs'),
      blobstoreDiskTmpLocation: path.join(data, 'blobs-tmp'),
      blobUploadLimit: 100 * 1024 * 1024,
      didPlcUrl: this.plcUrl,
      didCacheStaleTTL: 1000,
      didCacheMaxTTL: 5000,
      enableDidDocWithSession: true,
      // Domains must not nest: a PDS of '.test' would claim every other's handles.
      serviceHandleDomains: [`.${name}.test`],
      adminPassword: ADMIN_PASSWORD,
      jwtSecret: secret(`jwt ${name}`),
      dpopSecret: secret(`dpop ${name}`),
      plcRotationKeyK256PrivateKeyHex: secret(`rotation ${name}`),
      inviteRequired: false,
      rateLimitsEnabled: false,
      crawlers: [],
      // With the protection on, the PDS would refuse even the PLC directory of this network.
      disableSsrfProtection: true,
      ...this.settings,
    }
    const host = { name, port, url, did, environment, blobs: {}, server: undefined }
    this.all.push(host)
    await this.start(host)
  }

  named(name) {
    const host = this.all.find((candidate) => candidate.name === name)
    if (!host) throw new Error(`no PDS is called ${name}`)
    return host
  }

  // The PDS of a handle's domain, if the handle is under one.
  of(handle) {
    return this.all.find(({ environment }) => environment.serviceHandleDomains.some((domain) => handle.endsWith(domain)))
  }

  async start(host) {
    if (host.server) return
    const server = await PDS.fromEnv(host.environment)
    // The PDS calls app.listen(port), which would listen on every interface.
    const { listen } = server.app
    const count = (request) => this.#countBlob(host, request)
    server.app.listen = (port) => listen.call(server.app, port, this.address).on('request', count)
    server.ctx.idResolver.handle.resolve = (handle) => this.resolveHandle(handle)
    for (const mailer of [server.ctx.mailer, server.ctx.moderationMailer]) this.#keepMail(host, mailer.transporter)
    await server.start()
    host.server = server
  }

  async stop(host) {
    await host.server?.destroy()
    host.server = undefined
  }

  async resolveHandle(handle) {
    if (this.ownDomains.has(handle)) return this.ownDomains.get(handle)
    const host = this.of(handle)
    if (!host) return undefined
    const where = { host: this.address, port: host.port, path: '/.well-known/atproto-did', headers: { host: handle } }
    const did = await new Promise((done) => {
      const collect = (response) => {
        let body = ''
        response.on('data', (chunk) => (body += chunk))
        response.on('end', () => done(response.statusCode === 200 ? body.trim() : undefined))
      }
      http.get(where, collect).on('error', () => done(undefined))
    })
    return did?.startsWith('did:') ? did : undefined
  }

  // How often each blob was asked for, by whomever.
  #countBlob({ blobs }, request) {
    const { pathname, searchParams } = new URL(request.url, 'http://localhost')
    if (pathname !== '/xrpc/com.atproto.sync.getBlob') return
    const cid = searchParams.get('cid')
    blobs[cid] = (blobs[cid] ?? 0) + 1
  }

  #keepMail(host, transporter) {
    const send = transporter.sendMail
    transporter.sendMail = async (options, ...rest) => {
      const result = await send.call(transporter, options, ...rest)
      const { subject, text } = JSON.parse(String(result.message))
      const token = (text ?? '').match(/\b[A-Z2-7]{5}-[A-Z2-7]{5}\b/)?.[0]
      this.mail.push({ pds: host.name, to: options.to, subject, text, token })
      return result
    }
  }
}
