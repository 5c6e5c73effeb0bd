// A third party's client: calls every method of the lexicons and writes what came of each call as one line of JSON.
//
// Standard input is {"service": URL, "subjects": [{"did", "track", "list"}, …]}; all methods are called once for every
// subject, one after another. `./lexicons/` is what @atproto/lex generates; it checks every answer that comes.

import { text } from 'node:stream/consumers'

import { Client, XrpcResponseError, lexStringify, type AtUriString, type DidString, type LexValue } from '@atproto/lex'

import { fm } from './lexicons/index.ts'

type Subject = { did: DidString; track: AtUriString; list: AtUriString }
type Outcome = { output: LexValue } | { error: string; refusedBy: 'server' | 'client'; message: string }

const { actor, feed, index, library } = fm.plyr
const { service, subjects } = JSON.parse(await text(process.stdin)) as { service: string; subjects: Subject[] }
const client = new Client({ service })

function callsAbout({ did, track, list }: Subject): Record<string, () => Promise<LexValue>> {
  return {
    [actor.getProfile.$nsid]: () => client.call(actor.getProfile, { actor: did }),
    [actor.searchActors.$nsid]: () => client.call(actor.searchActors, { q: 'artist' }),
    [feed.getActorTracks.$nsid]: () => client.call(feed.getActorTracks, { actor: did, filter: 'all', limit: 10 }),
    [feed.getComments.$nsid]: () => client.call(feed.getComments, { uri: track, sort: 'timestamp' }),
    [feed.getLatest.$nsid]: () => client.call(feed.getLatest, { tags: ['ambient', 'live'], limit: 1 }),
    [feed.getLikes.$nsid]: () => client.call(feed.getLikes, { uri: track }),
    [feed.getTags.$nsid]: () => client.call(feed.getTags, { q: 'amb' }),
    [feed.getTrack.$nsid]: () => client.call(feed.getTrack, { uri: track }),
    [feed.getTracks.$nsid]: () => client.call(feed.getTracks, { uris: [track, list] }),
    [feed.searchTracks.$nsid]: () => client.call(feed.searchTracks, { q: 'tom', actor: did, tag: 'ambient' }),
    [index.getRecordStatus.$nsid]: () => client.call(index.getRecordStatus, { uri: track }),
    [index.getRepoStatus.$nsid]: () => client.call(index.getRepoStatus, { did }),
    [index.getStats.$nsid]: () => client.call(index.getStats),
    [index.requestSync.$nsid]: () => client.call(index.requestSync, { did }),
    [library.getList.$nsid]: () => client.call(library.getList, { uri: list }),
    [library.searchLists.$nsid]: () => client.call(library.searchLists, { q: 'album', purpose: 'album' }),
  }
}

async function outcomeOf(call: () => Promise<LexValue>): Promise<Outcome> {
  try {
    return { output: await call() }
  } catch (thrown) {
    const error = thrown as XrpcResponseError
    // What the server said in its own words; anything else is this client's complaint about the answer.
    const isDeclared = thrown instanceof XrpcResponseError && thrown.matchesSchemaErrors()
    return { error: error.error ?? error.name, refusedBy: isDeclared ? 'server' : 'client', message: String(thrown) }
  }
}

const outcomes: Record<string, Outcome>[] = []
for (const subject of subjects) {
  const outcome: Record<string, Outcome> = {}
  for (const [nsid, call] of Object.entries(callsAbout(subject))) outcome[nsid] = await outcomeOf(call)
  outcomes.push(outcome)
}
console.log(lexStringify(outcomes as LexValue))
