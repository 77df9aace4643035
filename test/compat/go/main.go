// franz-go for the compatibility tests: the protocol of lines is drawn in support/driver.ts.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"
	"sort"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const timeMax = 30 * time.Second

type settings struct {
	Bootstrap []string
	Protocol  string
}

type record struct {
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Value     string `json:"value"`
}

type command struct {
	Do         string
	Topic      string
	Partitions int32
	Replicas   int16
	Codec      string
	Idempotent bool
	Records    []record
	Partition  int32
	From       struct {
		Offset int64
		Time   *int64
	}
	Group string
	Count int
	Ms    int
}

type producerKind struct {
	codec      string
	idempotent bool
}

type driver struct {
	settings  settings
	admin     *kadm.Client
	producers map[producerKind]*kgo.Client
	member    *kgo.Client
	waiting   []*kgo.Record
	taken     []*kgo.Record
	mutex     sync.Mutex
	owned     map[int32]bool
}

var codecs = map[string]kgo.CompressionCodec{
	"none":   kgo.NoCompression(),
	"gzip":   kgo.GzipCompression(),
	"snappy": kgo.SnappyCompression(),
	"lz4":    kgo.Lz4Compression(),
	"zstd":   kgo.ZstdCompression(),
}

func main() {
	d := &driver{producers: map[producerKind]*kgo.Client{}}
	if err := json.Unmarshal([]byte(os.Args[1]), &d.settings); err != nil {
		panic(err)
	}
	d.admin = kadm.NewClient(d.client())
	input := bufio.NewScanner(os.Stdin)
	input.Buffer(nil, 64<<20)
	output := json.NewEncoder(os.Stdout)
	for input.Scan() {
		var c command
		if err := json.Unmarshal(input.Bytes(), &c); err != nil {
			panic(err)
		}
		value, err := d.run(&c)
		if err != nil {
			_ = output.Encode(map[string]any{"error": err.Error()})
		} else {
			_ = output.Encode(map[string]any{"value": value})
		}
	}
	d.close()
}

// Metadata may be asked for again at once: by default the client keeps what it knows, also that a topic is unknown, for
// some seconds.
func (d *driver) client(options ...kgo.Opt) *kgo.Client {
	own := []kgo.Opt{kgo.SeedBrokers(d.settings.Bootstrap...), kgo.MetadataMinAge(50 * time.Millisecond)}
	client, err := kgo.NewClient(append(own, options...)...)
	if err != nil {
		panic(err)
	}
	return client
}

func (d *driver) run(c *command) (any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*timeMax)
	defer cancel()
	switch c.Do {
	case "connect":
		metadata, err := d.admin.BrokerMetadata(ctx)
		return map[string]any{"version": version(), "brokers": metadata.Brokers.NodeIDs()}, err
	case "create_topic":
		_, err := d.admin.CreateTopic(ctx, c.Partitions, c.Replicas, nil, c.Topic)
		return nil, err
	case "describe_topic":
		topics, err := d.admin.ListTopics(ctx, c.Topic)
		if err != nil || topics[c.Topic].Err == kerr.UnknownTopicOrPartition {
			return nil, err
		}
		return len(topics[c.Topic].Partitions), topics[c.Topic].Err
	case "delete_topic":
		answers, err := d.admin.DeleteTopics(ctx, c.Topic)
		if err != nil {
			return nil, err
		}
		return nil, answers[c.Topic].Err
	case "produce":
		return d.produce(ctx, c), nil
	case "read":
		return d.read(ctx, c)
	case "join":
		d.join(c)
		return nil, nil
	case "owned":
		d.poll(func() bool { return len(d.ownedNow()) == c.Count }, c.Ms)
		return d.ownedNow(), nil
	case "take":
		return d.take(c), nil
	case "commit":
		return nil, d.member.CommitRecords(ctx, d.taken...)
	case "leave":
		d.leave()
		return nil, nil
	}
	return nil, fmt.Errorf("no such command: %s", c.Do)
}

func (d *driver) produce(ctx context.Context, c *command) []*int64 {
	kind := producerKind{c.Codec, c.Idempotent}
	producer := d.producers[kind]
	if producer == nil {
		options := []kgo.Opt{
			kgo.ProducerBatchCompression(codecs[c.Codec]),
			kgo.RecordPartitioner(kgo.ManualPartitioner()),
			kgo.RequiredAcks(kgo.AllISRAcks()),
		}
		if !c.Idempotent {
			options = append(options, kgo.DisableIdempotentWrite())
		}
		producer = d.client(options...)
		d.producers[kind] = producer
	}
	offsets := make([]*int64, len(c.Records))
	var done sync.WaitGroup
	for index, each := range c.Records {
		done.Add(1)
		sent := &kgo.Record{Topic: c.Topic, Partition: each.Partition, Value: []byte(each.Value)}
		producer.Produce(ctx, sent, func(sent *kgo.Record, err error) {
			if err == nil {
				offsets[index] = &sent.Offset
			} else {
				fmt.Fprintln(os.Stderr, err)
			}
			done.Done()
		})
	}
	done.Wait()
	return offsets
}

func (d *driver) read(ctx context.Context, c *command) ([]record, error) {
	at := kgo.NewOffset().At(c.From.Offset)
	if c.From.Time != nil {
		at = kgo.NewOffset().AfterMilli(*c.From.Time)
	}
	consumer := d.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{c.Topic: {c.Partition: at}}))
	defer consumer.Close()
	records := []record{}
	for len(records) < c.Count {
		fetches := consumer.PollRecords(ctx, c.Count-len(records))
		if err := fetches.Err(); err != nil {
			return nil, err
		}
		fetches.EachRecord(func(each *kgo.Record) { records = append(records, of(each)) })
	}
	return records, nil
}

func (d *driver) join(c *command) {
	d.owned = map[int32]bool{}
	change := func(isOwned bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
			d.mutex.Lock()
			defer d.mutex.Unlock()
			for _, partition := range partitions[c.Topic] {
				if isOwned {
					d.owned[partition] = true
				} else {
					delete(d.owned, partition)
				}
			}
		}
	}
	options := []kgo.Opt{
		kgo.ConsumerGroup(c.Group),
		kgo.ConsumeTopics(c.Topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(),
		kgo.OnPartitionsAssigned(change(true)),
		kgo.OnPartitionsRevoked(change(false)),
		kgo.OnPartitionsLost(change(false)),
	}
	if d.settings.Protocol == "consumer" {
		options = append(options, kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer()))
	} else {
		options = append(options, kgo.HeartbeatInterval(500*time.Millisecond), kgo.SessionTimeout(10*time.Second))
	}
	d.member = d.client(options...)
}

func (d *driver) ownedNow() []int32 {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	partitions := []int32{}
	for partition := range d.owned {
		partitions = append(partitions, partition)
	}
	sort.Slice(partitions, func(a, b int) bool { return partitions[a] < partitions[b] })
	return partitions
}

// Polls until something holds, at most ms.
func (d *driver) poll(until func() bool, ms int) {
	deadline := time.Now().Add(time.Duration(ms) * time.Millisecond)
	for !until() && time.Now().Before(deadline) {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		d.member.PollFetches(ctx).EachRecord(func(each *kgo.Record) { d.waiting = append(d.waiting, each) })
		cancel()
	}
}

func (d *driver) take(c *command) []record {
	d.poll(func() bool { return len(d.waiting) >= c.Count }, c.Ms)
	count := min(c.Count, len(d.waiting))
	records := []record{}
	for _, each := range d.waiting[:count] {
		records = append(records, of(each))
	}
	d.taken = append(d.taken, d.waiting[:count]...)
	d.waiting = d.waiting[count:]
	return records
}

func (d *driver) leave() {
	if d.member == nil {
		return
	}
	d.member.Close()
	d.member = nil
	d.waiting, d.taken = nil, nil
}

func (d *driver) close() {
	d.leave()
	for _, producer := range d.producers {
		producer.Close()
	}
	d.admin.Close()
}

func of(each *kgo.Record) record {
	return record{each.Partition, each.Offset, string(each.Value)}
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			if module.Path == "github.com/twmb/franz-go" {
				return module.Version
			}
		}
	}
	return "unknown"
}
