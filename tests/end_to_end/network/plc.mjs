// The reference PLC directory, in memory, on loopback, speaking as the live one speaks today.
//
// The published @did-plc/server is older than the live directory in two ways. Its documents name keys as
// '#atproto', uncompressed and not as Multikey; resolvers must read that form too, so it can be kept.
// And its in-memory database exports nothing.
import http from 'node:http'
import plcPackage from '@did-plc/server'

const { Database, PlcServer } = plcPackage
const CONTEXT = [
  'https://www.w3.org/ns/did/v1',
  'https://w3id.org/security/multikey/v1',
  'https://w3id.org/security/suites/secp256k1-2019/v1',
]

export async function startPlc({ port, host, legacyDocuments }) {
  const database = Database.mock()
  database.exportOps = (limit, after) => exportOperations(database, limit, after)
  const server = PlcServer.create({ db: database, port })
  const answer = server.app
  const listener = async (request, response) => {
    const did = request.method === 'GET' && decodeURIComponent(request.url).match(/^\/(did:plc:[a-z2-7]{24})$/)?.[1]
    const document = did && !legacyDocuments && (await modernDocument(database, did))
    if (!document) return answer(request, response)
    response.writeHead(200, { 'content-type': 'application/did+ld+json' })
    response.end(JSON.stringify(document))
  }
  // The server would listen on every interface.
  server.app = { listen: (wanted) => http.createServer(listener).listen(wanted, host) }
  await server.start()
  return { url: `http://localhost:${port}`, stop: () => server.destroy() }
}

async function modernDocument(database, did) {
  const operation = (await database.opsForDid(did)).at(-1)
  if (operation?.type !== 'plc_operation') return undefined
  return {
    '@context': CONTEXT,
    id: did,
    alsoKnownAs: operation.alsoKnownAs,
    verificationMethod: Object.entries(operation.verificationMethods).map(([id, key]) => ({
      id: `${did}#${id}`,
      type: 'Multikey',
      controller: did,
      publicKeyMultibase: key.slice('did:key:'.length),
    })),
    service: Object.entries(operation.services).map(([id, { type, endpoint }]) => ({
      id: `#${id}`,
      type,
      serviceEndpoint: endpoint,
    })),
  }
}

async function exportOperations(database, limit, after) {
  return Object.entries(database.contents)
    .flatMap(([did, operations]) => operations.map((entry) => ({ ...entry, did, cid: entry.cid.toString() })))
    .filter((entry) => !after || entry.createdAt > after)
    .sort((a, b) => a.createdAt - b.createdAt)
    .slice(0, limit)
    .map((entry) => ({ ...entry, createdAt: entry.createdAt.toISOString() }))
}
