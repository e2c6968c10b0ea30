# What Debian's kernel leaves out, and what the checks need: simulated GPIO chips and the interrupts that they make, a made-up
# IIO device and a timer that triggers it, a pulse each second, a battery (and its thermal zone).
obj-m += irq_sim_mod.o gpio-sim.o
irq_sim_mod-y := irq_sim.o irq_sim_license.o
obj-m += industrialio-configfs.o industrialio-sw-device.o industrialio-sw-trigger.o iio-trig-hrtimer.o iio_dummy.o
iio_dummy-y := iio_simple_dummy.o iio_simple_dummy_buffer.o
ccflags-y += -DCONFIG_IIO_SIMPLE_DUMMY_BUFFER=1
obj-m += pps-ktimer.o test_power.o
