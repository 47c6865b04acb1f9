/*
 * Intel ACPI Component Architecture
 * 
 *
 *
 * Format: [HexOffset DecimalOffset ByteLength]  FieldName : FieldValue
 */

[000h 0000   4]                    Signature : "XSDT"    [Extended System Description Table]
[004h 0004   4]                 Table Length : 00000044
[008h 0008   1]                     Revision : 01
[009h 0009   1]                     Checksum : 3B
[00Ah 0010   6]                       Oem ID : "SOLDER"
[010h 0016   8]                 Oem Table ID : "SOLDERVM"
[018h 0024   4]                 Oem Revision : 00000001
[01Ch 0028   4]              Asl Compiler ID : "SLDR"
[020h 0032   4]        Asl Compiler Revision : 00000001

[024h 0036   8]       ACPI Table Address   0 : 00000000000E0580
[02Ch 0044   8]       ACPI Table Address   1 : 00000000000E06A0
[034h 0052   8]       ACPI Table Address   2 : 00000000000E0710
[03Ch 0060   8]       ACPI Table Address   3 : 00000000000E0750

Raw Table Data: Length 68 (0x44)

    0000: 58 53 44 54 44 00 00 00 01 3B 53 4F 4C 44 45 52  // XSDTD....;SOLDER
    0010: 53 4F 4C 44 45 52 56 4D 01 00 00 00 53 4C 44 52  // SOLDERVM....SLDR
    0020: 01 00 00 00 80 05 0E 00 00 00 00 00 A0 06 0E 00  // ................
    0030: 00 00 00 00 10 07 0E 00 00 00 00 00 50 07 0E 00  // ............P...
    0040: 00 00 00 00                                      // ....
