// life: a Go program whose heap fills and empties twice, for the workload `runtime`.
//
// Fills MIB of objects of 64 bytes to 8 KiB, drops all but KEEP per cent of them, by SEED, asks for
// a collection and for its memory to be given back (debug.FreeOSMemory, which is what a server
// calls that knows it has become idle), and waits IDLE ms; then all of it again. Prints its pid,
// a line for each fifth of a fill, {"mark":"emptied"} after the first life, when it waits for a
// line of standard input, and "done"; then it stays until standard input ends.
//
// Cannot show: the background scavenger, which gives back the same memory in minutes.
package main

import (
	"bufio"
	"fmt"
	"io"
	"math/rand"
	"os"
	"runtime/debug"
	"strconv"
	"time"
)

const parts = 5

func number(at int) int {
	value, err := strconv.Atoi(os.Args[at])
	if err != nil || value < 0 {
		fmt.Fprintln(os.Stderr, "usage: life MIB KEEP IDLE_MS SEED")
		os.Exit(2)
	}
	return value
}

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: life MIB KEEP IDLE_MS SEED")
		os.Exit(2)
	}
	mib, keep, idle, seed := number(1), number(2), number(3), number(4)
	chance := rand.New(rand.NewSource(int64(seed)))
	fmt.Printf("{\"pid\":%d,\"program\":\"go\"}\n", os.Getpid())
	input := bufio.NewReader(os.Stdin)
	total := 0
	var objects [][]byte
	for life := 0; life < 2; life++ {
		for part := 0; part < parts; part++ {
			for left := mib << 20 / parts; left > 0; total++ {
				object := make([]byte, 64+chance.Intn(8192-64))
				for at := 0; at < len(object); at += 1024 {
					object[at] = 1
				}
				objects = append(objects, object)
				left -= len(object)
			}
			fmt.Printf("{\"phase\":\"fill\",\"objects\":%d}\n", total)
		}
		var kept [][]byte
		for _, object := range objects {
			if chance.Intn(100) < keep {
				kept = append(kept, object)
			}
		}
		objects = kept
		debug.FreeOSMemory()
		for waited := 0; waited < idle; waited += 100 {
			time.Sleep(100 * time.Millisecond)
			fmt.Println("{\"phase\":\"idle\"}")
		}
		if life == 0 {
			fmt.Println("{\"mark\":\"emptied\"}")
			input.ReadString('\n') // whoever watches has looked
		}
	}
	fmt.Printf("{\"done\":%d,\"kept\":%d}\n", total, len(objects))
	io.Copy(io.Discard, input)
}
