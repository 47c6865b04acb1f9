// Entry of every guest program by PVH: 32-bit protected mode, no paging, EBX = hvm_start_info (Xen, docs/misc/pvh.pandoc).
// Goes to long mode on its own tables (all of the low 4 GiB 1:1 in 2 MiB pages), then start_c(start_info).
    .section .note.pvh, "a", @note
    .balign 4
    .long   4                   // name's size
    .long   8                   // descriptor's size
    .long   18                  // XEN_ELFNOTE_PHYS32_ENTRY
    .asciz  "Xen"
    .quad   _start

    .text
    .code32
    .global _start
_start:
    cli
    cld
    mov     $stack_top, %esp
    mov     %ebx, %edi
    lgdt    gdt_pointer
    mov     %cr4, %eax
    or      $0x20, %eax         // PAE
    mov     %eax, %cr4
    mov     $level4, %eax
    mov     %eax, %cr3
    mov     $0xc0000080, %ecx   // EFER
    rdmsr
    or      $0x100, %eax        // LME
    wrmsr
    mov     %cr0, %eax
    and     $0x9fffffff, %eax   // caches on: not CD, not NW
    or      $0x80000001, %eax   // PG, PE
    mov     %eax, %cr0
    ljmp    $0x18, $start64

    .code64
start64:
    mov     $0x10, %eax
    mov     %eax, %ds
    mov     %eax, %es
    mov     %eax, %ss
    xor     %eax, %eax
    mov     %eax, %fs
    mov     %eax, %gs
    mov     $stack_top, %rsp
    mov     %edi, %edi
    call    start_c
1:  hlt
    jmp     1b

// Vectors: one stub of 16 bytes each; an error code that the CPU does not push is 0. Then trap(frame).
    .balign 16
    .global vector_stubs
vector_stubs:
    .set    vector, 0
    .rept   256
    .balign 16
    .if     !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30)
    push    $0
    .endif
    .if     vector < 128
    push    $vector
    .else
    push    $vector - 256       // sign-extended; the common part masks it
    .endif
    jmp     common
    .set    vector, vector + 1
    .endr

    .balign 16
common:
    push    %r15
    push    %r14
    push    %r13
    push    %r12
    push    %r11
    push    %r10
    push    %r9
    push    %r8
    push    %rbp
    push    %rdi
    push    %rsi
    push    %rdx
    push    %rcx
    push    %rbx
    push    %rax
    cld
    andq    $0xff, 120(%rsp)
    mov     %rsp, %rdi
    call    trap
    .global trap_return
trap_return:
    pop     %rax
    pop     %rbx
    pop     %rcx
    pop     %rdx
    pop     %rsi
    pop     %rdi
    pop     %rbp
    pop     %r8
    pop     %r9
    pop     %r10
    pop     %r11
    pop     %r12
    pop     %r13
    pop     %r14
    pop     %r15
    add     $16, %rsp
    iretq

    .data
    .balign 8
    .global gdt, gdt_pointer
gdt:
    .quad   0
    .quad   0x00cf9b000000ffff  // 0x08: 32-bit code
    .quad   0x00cf93000000ffff  // 0x10: data
    .quad   0x00af9b000000ffff  // 0x18: 64-bit code
gdt_end:
gdt_pointer:
    .word   gdt_end - gdt - 1
    .quad   gdt

// The low 2 GiB and what is above 3 GiB (devices: not cached, PCD and PWT). 1 GiB from 0x80000000 on is `level2_window`.
    .balign 4096
    .global level4, level2_window
level4:
    .quad   level3 + 3
    .fill   511, 8, 0
level3:
    .quad   level2_low + 3, level2_low + 4096 + 3, level2_window + 3, level2_high + 3
    .fill   508, 8, 0
level2_low:
    .set    at, 0
    .rept   1024
    .quad   at + 0x83
    .set    at, at + 0x200000
    .endr
level2_high:
    .set    at, 0xc0000000
    .rept   512
    .quad   at + 0x9b
    .set    at, at + 0x200000
    .endr
level2_window:
    .fill   512, 8, 0

    .bss
    .balign 16
    .global stack_bottom, stack_top
stack_bottom:
    .skip   32768
stack_top:
    .section .note.GNU-stack, "", @progbits
