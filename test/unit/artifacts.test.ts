/** What an artifact is called, and what is inside a jar, whoever made it. */
import { describe, expect, it } from 'vitest'
import { artifactLocation, parseArtifact, readMainClass } from '../../src/domain/artifact.ts'
import { formatLocation, parseLocation } from '../../src/domain/location.ts'
import type { RandomAccess } from '../../src/ports/artifacts.ts'
import { createJars } from '../../src/storage/jars.ts'
import { HOSTILE_LOCATIONS } from '../support/hostile-locations.ts'
import { aClass, aJar, makeJar, manifestOf } from '../support/jars.ts'

const SHA = 'ab'.repeat(32)

/** The bytes, and how many of them were asked for. */
const fileOf = (bytes: Buffer) => {
  const file = {
    bytesRead: 0,
    sizeBytes: bytes.length,
    readRange: async (offset: number, length: number) => {
      file.bytesRead += length
      return new Uint8Array(bytes.subarray(offset, offset + length))
    },
  } satisfies RandomAccess & { bytesRead: number }
  return file
}
const inspect = (bytes: Buffer) => createJars().inspect(fileOf(bytes))
const invalid = (message: string) => ({ code: 'ARTIFACT_INVALID', message: expect.stringContaining(message) })

describe('the name of an artifact', () => {
  it('is its content, or a place', () => {
    expect(parseArtifact(`sha256:${SHA}`)).toEqual({ kind: 'content', sha256: SHA })
    expect(parseArtifact('s3://jars/orders.jar')).toEqual({
      kind: 'location',
      location: parseLocation('s3://jars/orders.jar'),
    })
    expect(formatLocation(artifactLocation(parseLocation('s3://b/root'), SHA))).toBe(
      `s3://b/root/_artifacts/${SHA}`,
    )
  })

  it.each([
    `sha256:${SHA.toUpperCase()}`,
    `sha256:${SHA}0`,
    'sha256:',
    SHA,
    'orders.jar',
    'https://host/orders.jar',
    '',
  ])('is not %j', (text) => {
    expect(() => parseArtifact(text)).toThrow(expect.objectContaining({ code: 'LOCATION_INVALID' }))
  })

  it('is no hostile location', () => {
    for (const [text] of HOSTILE_LOCATIONS) {
      expect(() => parseArtifact(text), text).toThrow(expect.objectContaining({ code: 'LOCATION_INVALID' }))
    }
  })
})

describe('the main class', () => {
  it.each([
    ['Main-Class: org.example.Job\n', 'org.example.Job'],
    ['main-class: org.example.Job\r\n\r\n', 'org.example.Job'],
    ['Main-Class: org.example.Other\r\nprogram-class: org.example.Job\r\n', 'org.example.Job'],
    ['Main-Class: org.exa\r\n mple.Job\r\n', 'org.example.Job'],
    ['A: b\n\nName: x\nMain-Class: org.example.Entry\n', null],
    ['Main-Class:\n', null],
    ['Main-Class: two words\n', null],
    [`Main-Class: ${'x'.repeat(513)}\n`, null],
    ['Main-Class: a\u0000b\n', null],
    ['', null],
  ])('of %j is %j', (manifest, mainClass) => {
    expect(readMainClass(manifest)).toBe(mainClass)
  })
})

describe('a jar', () => {
  it.each([
    ['with a manifest and classes', makeJar([manifestOf('Main-Class: org.example.Job'), aClass])],
    [
      'whose manifest is not compressed',
      makeJar([{ ...manifestOf('Main-Class: org.example.Job'), store: true }]),
    ],
    [
      'with a comment',
      makeJar([manifestOf('Main-Class: org.example.Job')], { comment: Buffer.from('PK\u0005\u0006') }),
    ],
    [
      'with the longest comment',
      makeJar([manifestOf('Main-Class: org.example.Job')], { comment: Buffer.alloc(65_535) }),
    ],
    [
      'that starts itself',
      makeJar([manifestOf('Main-Class: org.example.Job')], { prefix: Buffer.from('#!/bin/sh\n') }),
    ],
    ['in zip64', makeJar([aClass, manifestOf('Main-Class: org.example.Job')], { zip64: true })],
    [
      'in zip64 that starts itself',
      makeJar([manifestOf('Main-Class: org.example.Job')], { zip64: true, prefix: Buffer.alloc(99) }),
    ],
  ])('%s is read', async (_what, bytes) => {
    expect(await inspect(bytes)).toMatchObject({ mainClass: 'org.example.Job', hasManifest: true })
  })

  it('needs no manifest when it has classes, and no classes when it has a manifest', async () => {
    expect(await inspect(makeJar([aClass]))).toEqual({
      hasClasses: true,
      hasManifest: false,
      mainClass: null,
    })
    expect(await inspect(makeJar([manifestOf()]))).toEqual({
      hasClasses: false,
      hasManifest: true,
      mainClass: null,
    })
  })

  it('of 30,000 classes is read to its end', async () => {
    const classes = Array.from({ length: 30_000 }, (_, at) => ({
      ...aClass,
      name: `p/C${at}.class`,
      store: true,
    }))
    const bytes = makeJar([...classes, manifestOf('Main-Class: org.example.Job')], { zip64: true })
    expect(await inspect(bytes)).toMatchObject({ mainClass: 'org.example.Job' })
  })

  it('that claims a huge manifest costs no more than its beginning', async () => {
    const bomb = Buffer.concat([
      Buffer.from('Main-Class: org.example.Job\n\n'),
      Buffer.alloc(8 * 1024 * 1024),
    ])
    const file = fileOf(makeJar([{ name: 'META-INF/MANIFEST.MF', content: bomb }]))
    expect(await createJars().inspect(file)).toMatchObject({ mainClass: 'org.example.Job' })
    expect(file.bytesRead).toBeLessThan(2 * 1024 * 1024)
  })
})

describe('no jar', () => {
  it.each([
    ['nothing', Buffer.alloc(0), 'no zip file'],
    ['a text', Buffer.from('public class Job {}'), 'no zip file'],
    ['the magic bytes alone', Buffer.from('PK\u0003\u0004'), 'no zip file'],
    ['an empty zip file', makeJar([]), 'neither'],
    ['a zip file of texts', makeJar([{ name: 'readme.txt', content: 'Main-Class: x' }]), 'neither'],
  ])('%s', async (_what, bytes, message) => {
    await expect(inspect(bytes)).rejects.toMatchObject(invalid(message))
  })

  it('one that was cut off, wherever', async () => {
    const bytes = makeJar([manifestOf('Main-Class: org.example.Job'), aClass], {
      comment: Buffer.from('end'),
    })
    for (let length = 0; length < bytes.length; length++) {
      await expect(inspect(bytes.subarray(0, length)), `${length}`).rejects.toMatchObject(invalid(''))
      await expect(inspect(bytes.subarray(bytes.length - length)), `-${length}`).rejects.toMatchObject(
        invalid(''),
      )
    }
  })

  it('one with any byte changed is read or refused, and breaks nothing', async () => {
    for (const bytes of [aJar(), makeJar([aClass, manifestOf('Main-Class: a.B')], { zip64: true })]) {
      for (let at = 0; at < bytes.length; at++) {
        for (const value of [0x00, 0xff]) {
          const changed = Buffer.from(bytes)
          changed[at] = value
          const outcome = await inspect(changed).then(
            () => 'read',
            (error: unknown) => (error instanceof Error && 'code' in error ? error.code : error),
          )
          expect(['read', 'ARTIFACT_INVALID'], `${at}=${value}: ${outcome}`).toContain(outcome)
        }
      }
    }
  })

  it('one whose directory claims more than there may be', async () => {
    const bytes = makeJar([manifestOf()])
    bytes.writeUInt32LE(0xfffffff0, bytes.length - 10)
    await expect(inspect(bytes)).rejects.toMatchObject(invalid('outside the file'))
  })
})
