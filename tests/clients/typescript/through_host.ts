// A listener's app: signs in at the listener's own host, and calls the appview through it, with four clients.
//
// Standard input is {"pds": URL, "handle", "password", "proxy": "DID#service", "track": {"uri", "cid"}}; what came of it
// is written as one line of JSON. `agent` of @atproto/api also likes the track, finds its like in the answer, and
// takes it back.

import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'

import { Client as AtcuteClient, ok, simpleFetchHandler } from '@atcute/client'
import { AtUri, AtpAgent, XRPCError } from '@atproto/api'
import { Client as LexClient, lexStringify, type LexValue } from '@atproto/lex'
import { XrpcClient } from '@atproto/xrpc'

import * as plyr from './generated/atcute/index.ts'
import { fm } from './generated/lex/index.ts'

type Uri = `at://did:${string}:${string}/${string}.${string}.${string}/${string}`
type Input = {
  pds: string
  handle: string
  password: string
  proxy: `did:web:${string}#${string}`
  track: { uri: Uri; cid: string }
}
type View = { uri: string; viewer?: { like?: string } }

const { pds, handle, password, proxy, track } = JSON.parse(await text(process.stdin)) as Input
const uri = track.uri
const [service, id] = proxy.split('#') as [string, string]

const documents = readdirSync('lexicons/fm', { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => JSON.parse(readFileSync(join(entry.parentPath, entry.name), 'utf8')))
const standards = ['label/defs', 'repo/strongRef'].map((name) =>
  JSON.parse(readFileSync(`lexicons/com/atproto/${name}.json`, 'utf8')),
)

// @atproto/api: a signed-in agent, and a copy of it whose calls go to the appview.
const agent = new AtpAgent({ service: pds })
await agent.login({ identifier: handle, password })
const appview = agent.withProxy(id, service)
for (const document of documents) appview.lex.add(document)

const authorization = `Bearer ${agent.session!.accessJwt}`
const headers = { authorization }
const reading = new XrpcClient({ service: pds, headers: { authorization, 'atproto-proxy': proxy } }, [...documents, ...standards])
const typed = new LexClient({ service: pds }, { headers, service: proxy })
const light = new AtcuteClient({ handler: simpleFetchHandler({ service: pds }), proxy })

async function seen(isThere: (view: View) => boolean): Promise<View> {
  for (;;) {
    const { data } = await appview.call('fm.plyr.feed.getTrack', { uri })
    if (isThere(data as View)) return data as View
    await new Promise((done) => setTimeout(done, 50))
  }
}

const { data: like } = await agent.com.atproto.repo.createRecord({
  repo: agent.assertDid,
  collection: 'fm.plyr.like',
  record: { $type: 'fm.plyr.like', subject: track, createdAt: new Date().toISOString() },
})
const liked = await seen((view) => view.viewer?.like !== undefined)

// What each client reads while the like is there.
const read = {
  agent: [
    (await appview.call('fm.plyr.feed.getTrack', { uri })).data,
    (await appview.call('fm.plyr.feed.getTimeline', { limit: 10 })).data,
    (await appview.call('fm.plyr.feed.getForYou')).data,
  ],
  XrpcClient: [
    (await reading.call('fm.plyr.feed.getTrack', { uri })).data,
    (await reading.call('fm.plyr.feed.getTimeline', { limit: 10 })).data,
    (await reading.call('fm.plyr.feed.getForYou')).data,
  ],
  lex: [
    await typed.call(fm.plyr.feed.getTrack, { uri }),
    await typed.call(fm.plyr.feed.getTimeline, { limit: 10 }),
    await typed.call(fm.plyr.feed.getForYou, {}),
  ].map((output) => JSON.parse(lexStringify(output as LexValue))),
  atcute: [
    await ok(light.call(plyr.FmPlyrFeedGetTrack, { params: { uri }, headers })),
    await ok(light.call(plyr.FmPlyrFeedGetTimeline, { params: { limit: 10 }, headers })),
    await ok(light.call(plyr.FmPlyrFeedGetForYou, { params: {}, headers })),
  ],
}
const plays = [
  (await appview.call('fm.plyr.feed.recordPlay', undefined, { uri, idempotencyKey: 'play-one' })).data,
  (await reading.call('fm.plyr.feed.recordPlay', undefined, { uri, idempotencyKey: 'play-two' })).data,
  await typed.call(fm.plyr.feed.recordPlay, { uri, idempotencyKey: 'play-three' }),
  await ok(light.call(plyr.FmPlyrFeedRecordPlay, { input: { uri, idempotencyKey: 'play-four' }, headers })),
]

const own = new AtUri(liked.viewer!.like!)
await agent.com.atproto.repo.deleteRecord({ repo: own.host, collection: own.collection, rkey: own.rkey })
const after = await seen((view) => view.viewer?.like === undefined)

const failed: unknown[] = []
for (const client of [appview, reading]) {
  try {
    await client.call('fm.plyr.feed.getTrack', { uri: `${uri}z` })
  } catch (thrown) {
    const { status, error } = thrown as XRPCError
    failed.push({ status, error })
  }
}

console.log(JSON.stringify({ like: like.uri, liked, read, plays, after, failed }))
