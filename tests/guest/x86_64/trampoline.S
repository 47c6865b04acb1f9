// What CPU 1 executes after its startup IPI: real mode at TRAMPOLINE, where start_secondary copies this to, up to long
// mode on CPU 0's tables; then secondary_c().
#define TRAMPOLINE 0x8000
    .text
    .global trampoline, trampoline_end
    .code16
trampoline:
    cli
    mov     %cs, %ax
    mov     %ax, %ds
    lgdtl   trampoline_gdt - trampoline
    mov     %cr0, %eax
    or      $1, %eax
    mov     %eax, %cr0
    ljmpl   $0x08, $(TRAMPOLINE + protected - trampoline)
    .code32
protected:
    mov     $0x10, %eax
    mov     %eax, %ds
    mov     %eax, %es
    mov     %eax, %ss
    mov     %cr4, %eax
    or      $0x20, %eax
    mov     %eax, %cr4
    mov     $level4, %eax
    mov     %eax, %cr3
    mov     $0xc0000080, %ecx
    rdmsr
    or      $0x100, %eax
    wrmsr
    mov     %cr0, %eax
    and     $0x9fffffff, %eax
    or      $0x80000001, %eax
    mov     %eax, %cr0
    ljmp    $0x18, $secondary64
    .balign 8
trampoline_gdt:
    .word   31
    .long   gdt
trampoline_end:

    .code64
secondary64:
    mov     $secondary_stack_top, %rsp
    xor     %eax, %eax
    mov     %eax, %fs
    mov     %eax, %gs
    call    secondary_c
1:  hlt
    jmp     1b

    .bss
    .balign 16
    .global secondary_stack, secondary_stack_top
secondary_stack:
    .skip   32768
secondary_stack_top:
    .section .note.GNU-stack, "", @progbits
