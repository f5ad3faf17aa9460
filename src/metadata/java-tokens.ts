/** Constants of `java.io.ObjectStreamConstants`. */
export const JAVA = {
  magic: 0xaced,
  version: 5,
  firstHandle: 0x7e0000,
  null: 0x70,
  reference: 0x71,
  classDescriptor: 0x72,
  object: 0x73,
  string: 0x74,
  endBlockData: 0x78,
  longString: 0x7c,
  enum: 0x7e,
  serializable: 0x02,
  enumFlag: 0x10,
} as const
