// What a test asks of the network itself, over HTTP on loopback.
//
//   GET    /                         the network's description
//   GET    /mail?to=ADDRESS          mail that a PDS would have sent, with its token picked out
//   GET    /xrpc/com.atproto.identity.resolveHandle?handle=HANDLE   in place of DNS and https well-known
//   PUT    /dns/HANDLE (body: DID), DELETE /dns/HANDLE              a handle of one's own domain
//   PUT    /host/NAME (body: URL)    a plain server stands in for https://NAME in what the PDSes fetch
//   PUT    /lexicon-authority/DID    whose schema records stand in for _lexicon in DNS
//   POST   /account/HANDLE           create an account; answers with its session
//   GET    /blobs/NAME               how often each blob of a PDS was asked for, by CID
//   POST   /pds/NAME/stop, /start    an outage: the data stay
//   POST   /pds/NAME/drain           wait for the PDS's background queue
import http from 'node:http'

const NOT_FOUND = { status: 404, body: { error: 'NotFound' } }
const OK = { body: { ok: true } }

export function controlServer({ hosts, standIns, describe, createAccount }) {
  const routes = {
    'GET ': () => ({ body: describe() }),
    'GET mail': ({ query }) => ({ body: hosts.mail.filter(({ to }) => !query.has('to') || to === query.get('to')) }),
    'GET xrpc': async ({ name, query }) => {
      if (name !== 'com.atproto.identity.resolveHandle') return NOT_FOUND
      const did = await hosts.resolveHandle(query.get('handle') ?? '')
      return did ? { body: { did } } : { status: 400, body: { error: 'HandleNotFound', message: 'Unable to resolve handle' } }
    },
    'GET blobs': ({ name }) => ({ body: hosts.named(name).blobs }),
    'PUT dns': ({ name, text }) => (hosts.ownDomains.set(name, text.trim()), OK),
    'DELETE dns': ({ name }) => (hosts.ownDomains.delete(name), OK),
    'PUT host': ({ name, text }) => (standIns.set(name, text.trim().replace(/\/$/, '')), OK),
    'PUT lexicon-authority': ({ name }) => {
      for (const { environment, server } of hosts.all) {
        environment.lexiconDidAuthority = name
        if (server) server.ctx.cfg.lexicon.didAuthority = name
      }
      return OK
    },
    'POST account': async ({ name }) => ({ body: await createAccount(name) }),
    'POST pds': async ({ name, verb }) => {
      const host = hosts.named(name)
      if (verb === 'stop') await hosts.stop(host)
      else if (verb === 'start') await hosts.start(host)
      else if (verb === 'drain') await host.server.ctx.backgroundQueue.processAll()
      else return NOT_FOUND
      return OK
    },
  }
  return http.createServer(async (request, response) => {
    let answer
    try {
      const url = new URL(request.url, 'http://localhost')
      const [, what, name, verb] = url.pathname.split('/').map(decodeURIComponent)
      let text = ''
      for await (const chunk of request) text += chunk
      const route = routes[`${request.method} ${what}`]
      answer = route ? await route({ name, verb, text, query: url.searchParams }) : NOT_FOUND
    } catch (error) {
      answer = { status: 500, body: { error: String(error) } }
    }
    response.writeHead(answer.status ?? 200, { 'content-type': 'application/json' })
    response.end(JSON.stringify(answer.body) + '\n')
  })
}
