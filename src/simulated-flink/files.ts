/**
 * Where snapshots are written. Directories are named as Flink names them in its answers: `file:/dir` with one slash,
 * `s3://bucket/key` and `s3a://bucket/key` as they were asked.
 */
export type Files = {
  /** false: nobody will read them, so no bytes need to be made. */
  readonly stores: boolean
  makeDirectory(directory: string): Promise<void>
  write(file: string, bytes: Uint8Array): Promise<void>
  /** null when there is no such file. */
  read(file: string): Promise<Uint8Array | null>
  removeFile(file: string): Promise<void>
  /** With everything in it. */
  removeDirectory(directory: string): Promise<void>
  close(): void
}

/** Java's `FileSystem` texts, for the traces that users see. */
export class UnsupportedScheme extends Error {
  constructor(scheme: string) {
    super(
      `Could not find a file system implementation for scheme '${scheme}'. The scheme is directly supported by Flink through the following plugin(s): flink-s3-fs-hadoop, flink-s3-fs-presto.`,
    )
  }
}

/** Flink's `Path`: qualified, without a trailing slash, `file:` with one slash. */
export function qualify(directory: string): string {
  const trimmed = directory.length > 1 ? directory.replace(/\/+$/, '') : directory
  if (trimmed.startsWith('/')) return `file:${trimmed}`
  return trimmed.replace(/^file:\/+/, 'file:/')
}

export const schemeOf = (location: string): string => location.slice(0, Math.max(0, location.indexOf(':')))

/** Writes nothing and keeps only which snapshots exist, so that a restore finds its checkpoint id. */
export function memoryFiles(): Files {
  const known = new Map<string, Uint8Array>()
  return {
    stores: false,
    async makeDirectory() {},
    async write(file, bytes) {
      known.set(file, bytes)
    },
    async read(file) {
      return known.get(file) ?? null
    },
    async removeFile(file) {
      known.delete(file)
    },
    async removeDirectory(directory) {
      known.delete(`${directory}/_metadata`)
    },
    close() {},
  }
}

/** Chooses by scheme; one without a file system fails as Flink fails without the plugin. */
export function filesByScheme(byScheme: ReadonlyMap<string, Files>): Files {
  const of = (location: string): Files => {
    const files = byScheme.get(schemeOf(location))
    if (files === undefined) throw new UnsupportedScheme(schemeOf(location))
    return files
  }
  return {
    stores: true,
    makeDirectory: async (directory) => of(directory).makeDirectory(directory),
    write: async (file, bytes) => of(file).write(file, bytes),
    read: async (file) => of(file).read(file),
    removeFile: async (file) => of(file).removeFile(file),
    removeDirectory: async (directory) => of(directory).removeDirectory(directory),
    close: () => {
      for (const files of new Set(byScheme.values())) files.close()
    },
  }
}
