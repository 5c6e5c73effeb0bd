// The client that @atcute/lex-cli makes, in `./generated/atcute/`; `.call` checks every answer that comes.

import { Client, ClientResponseError, ok, simpleFetchHandler } from '@atcute/client'

import * as plyr from './generated/atcute/index.ts'
import { asked, outcomesOf, type Calls, type Outcome, type Subject } from './outcomes.ts'

const input = await asked()
const client = new Client({ handler: simpleFetchHandler({ service: input.service }) })

function callsAbout({ did, track, playable, list, legacyId }: Subject): Calls {
  return {
    // First, so that all answers after it are of the same count.
    'fm.plyr.feed.recordPlay': (headers) => ok(client.call(plyr.FmPlyrFeedRecordPlay, { input: { uri: track, idempotencyKey: 'one-play-of-it' }, headers })),
    'fm.plyr.actor.getProfile': (headers) => ok(client.call(plyr.FmPlyrActorGetProfile, { params: { actor: did }, headers })),
    'fm.plyr.actor.getProfiles': (headers) => ok(client.call(plyr.FmPlyrActorGetProfiles, { params: { actors: [did] }, headers })),
    'fm.plyr.actor.searchActors': (headers) => ok(client.call(plyr.FmPlyrActorSearchActors, { params: { q: 'artist' }, headers })),
    'fm.plyr.feed.getActivity': (headers) => ok(client.call(plyr.FmPlyrFeedGetActivity, { params: { actor: did, types: ['track', 'like', 'comment', 'list'] }, headers })),
    'fm.plyr.feed.getActorLikes': (headers) => ok(client.call(plyr.FmPlyrFeedGetActorLikes, { params: { actor: did }, headers })),
    'fm.plyr.feed.getActorTracks': (headers) => ok(client.call(plyr.FmPlyrFeedGetActorTracks, { params: { actor: did, filter: 'all', limit: 10 }, headers })),
    'fm.plyr.feed.getComments': (headers) => ok(client.call(plyr.FmPlyrFeedGetComments, { params: { uri: track, sort: 'timestamp' }, headers })),
    'fm.plyr.feed.getForYou': (headers) => ok(client.call(plyr.FmPlyrFeedGetForYou, { params: { limit: 10 }, headers })),
    'fm.plyr.feed.getHot': (headers) => ok(client.call(plyr.FmPlyrFeedGetHot, { params: { limit: 1 }, headers })),
    'fm.plyr.feed.getLatest': (headers) => ok(client.call(plyr.FmPlyrFeedGetLatest, { params: { tags: ['ambient', 'live'], limit: 1 }, headers })),
    'fm.plyr.feed.getLikes': (headers) => ok(client.call(plyr.FmPlyrFeedGetLikes, { params: { uri: track }, headers })),
    'fm.plyr.feed.getPlayback': (headers) => ok(client.call(plyr.FmPlyrFeedGetPlayback, { params: { uri: playable }, headers })),
    'fm.plyr.feed.getRelated': (headers) => ok(client.call(plyr.FmPlyrFeedGetRelated, { params: { uri: track }, headers })),
    'fm.plyr.feed.getTagged': (headers) => ok(client.call(plyr.FmPlyrFeedGetTagged, { params: { tag: 'ambient' }, headers })),
    'fm.plyr.feed.getTags': (headers) => ok(client.call(plyr.FmPlyrFeedGetTags, { params: { q: 'amb' }, headers })),
    'fm.plyr.feed.getTimeline': (headers) => ok(client.call(plyr.FmPlyrFeedGetTimeline, { params: { limit: 10 }, headers })),
    'fm.plyr.feed.getTop': (headers) => ok(client.call(plyr.FmPlyrFeedGetTop, { params: { period: 'all', by: 'likes' }, headers })),
    'fm.plyr.feed.getTrack': (headers) => ok(client.call(plyr.FmPlyrFeedGetTrack, { params: { uri: track }, headers })),
    'fm.plyr.feed.getTracks': (headers) => ok(client.call(plyr.FmPlyrFeedGetTracks, { params: { uris: [track, list] }, headers })),
    'fm.plyr.feed.searchTracks': (headers) => ok(client.call(plyr.FmPlyrFeedSearchTracks, { params: { q: 'everybody', actor: did, tag: 'ambient' }, headers })),
    'fm.plyr.index.getRecordStatus': (headers) => ok(client.call(plyr.FmPlyrIndexGetRecordStatus, { params: { uri: track }, headers })),
    'fm.plyr.index.getRepoStatus': (headers) => ok(client.call(plyr.FmPlyrIndexGetRepoStatus, { params: { did }, headers })),
    'fm.plyr.index.getStats': (headers) => ok(client.call(plyr.FmPlyrIndexGetStats, { headers })),
    'fm.plyr.index.requestSync': (headers) => ok(client.call(plyr.FmPlyrIndexRequestSync, { input: { did }, headers })),
    'fm.plyr.index.resolveLegacyId': (headers) => ok(client.call(plyr.FmPlyrIndexResolveLegacyId, { params: { id: legacyId }, headers })),
    'fm.plyr.library.getActorLists': (headers) => ok(client.call(plyr.FmPlyrLibraryGetActorLists, { params: { actor: did, purpose: 'album' }, headers })),
    'fm.plyr.library.getList': (headers) => ok(client.call(plyr.FmPlyrLibraryGetList, { params: { uri: list }, headers })),
    'fm.plyr.library.getLists': (headers) => ok(client.call(plyr.FmPlyrLibraryGetLists, { params: { uris: [list] }, headers })),
    'fm.plyr.library.getListsWithTrack': (headers) => ok(client.call(plyr.FmPlyrLibraryGetListsWithTrack, { params: { uri: track }, headers })),
    'fm.plyr.library.searchLists': (headers) => ok(client.call(plyr.FmPlyrLibrarySearchLists, { params: { q: 'album', purpose: 'album' }, headers })),
  }
}

function complaintOf(thrown: unknown): Outcome {
  // The names of errors that a lexicon declares are not generated, so they are the server's all.
  if (thrown instanceof ClientResponseError) return { error: thrown.error, from: 'server', message: String(thrown) }
  return { error: (thrown as Error).name, from: 'client', message: String(thrown) }
}

console.log(JSON.stringify(await outcomesOf(input, callsAbout, complaintOf)))
