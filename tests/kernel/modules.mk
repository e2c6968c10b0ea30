# What Debian's kernel leaves out, and what the checks need: simulated GPIO chips, and the interrupts that they make.
obj-m += irq_sim_mod.o gpio-sim.o
irq_sim_mod-y := irq_sim.o irq_sim_license.o
